//! A ring of points. Each endpoint has many of them, and a key goes to the endpoint of the first point at or after it.

use plimsoll_sdk::{Endpoint, Endpoints};

use crate::Layout;
use crate::layout::{envoy_points, nginx_points};

/// Points in ascending order.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// Of all endpoints that have a weight, whatever their availability. Owners are indices into `made_of`.
    all: Vec<Point>,
    /// Of the ready ones: what is looked at. Owners are slots.
    live: Vec<Point>,
    /// What `all` was made of, in the order in which the points were made.
    made_of: Vec<Member>,
}

/// The position is in terms of `u64`, however wide the layout's hash is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) position: u64,
    pub(crate) owner: u32,
}

/// An endpoint with its share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) slot: u32,
    pub(crate) address: String,
    /// Configured weight, times the ramp.
    pub(crate) weight: f64,
}

impl Ring {
    /// The endpoints are now these. Points are only laid out anew when addresses, weights or members changed: what takes
    /// part because it is ready again is only a matter of filtering.
    pub(crate) fn update(&mut self, endpoints: &Endpoints, layout: &Layout) {
        let members = members(endpoints);
        if members != self.made_of {
            self.all.clear();
            match layout {
                Layout::Nginx { most } => nginx_points(&members, *most, &mut self.all),
                Layout::Envoy { least, most } => envoy_points(&members, *least, *most, &mut self.all),
            }
            sort(&mut self.all);
            self.made_of = members;
        }
        let ready = endpoints.ready();
        let slot = |member: &Member| ready.binary_search_by_key(&member.slot, |e| e.slot).ok().map(|_| member.slot);
        let slots: Vec<Option<u32>> = self.made_of.iter().map(slot).collect();
        let live = |point: &Point| Some(Point { owner: (*slots.get(point.owner as usize)?)?, ..*point });
        self.live.clear();
        self.live.extend(self.all.iter().filter_map(live));
    }

    /// Slots in the order in which the ring leads to them from `position` on, repeated as they come, once around.
    #[inline]
    pub(crate) fn from(&self, position: u64) -> impl Iterator<Item = u32> {
        let start = self.live.partition_point(|point| point.position < position);
        let (before, after) = self.live.split_at(start);
        after.iter().chain(before).map(|point| point.owner)
    }
}

/// Those of the priority level that is in use, in an order that is the same on every machine.
fn members(endpoints: &Endpoints) -> Vec<Member> {
    let level = endpoints.ready().first().and_then(|ready| endpoints.get(ready.slot)).map(|e| e.priority);
    let member = |e: &Endpoint| Member {
        slot: e.slot,
        address: e.address.clone(),
        weight: f64::from(e.weight.min(65_535)) * f64::from(e.ramp.clamp(1, 1000)) / 1000.0,
    };
    let takes_part = |e: &&Endpoint| e.weight > 0 && Some(e.priority) == level;
    let mut members: Vec<(u64, Member)> = endpoints.iter().filter(takes_part).map(|e| (e.id_hash, member(e))).collect();
    members.sort_by(|(a_id, a), (b_id, b)| (&a.address, a_id).cmp(&(&b.address, b_id)));
    members.into_iter().map(|(_, member)| member).collect()
}

/// Into ascending order. Stable, so that of several points at one position the first member's comes first. By the upper digits first, since
/// comparing alone takes several times as long on large rings; few are out of order then.
pub(crate) fn sort(points: &mut Vec<Point>) {
    const BITS: u32 = 11;
    let digits = match points.len() {
        0..1024 => return points.sort_by_key(|point| point.position),
        1024..65_536 => 2,
        _ => 3,
    };
    let mut other = vec![Point::default(); points.len()];
    for digit in (0..digits).rev() {
        let of = |point: &Point| (point.position >> (u64::BITS - BITS * (digit + 1))) as usize & ((1 << BITS) - 1);
        let mut starts = [0_u32; 1 << BITS];
        points.iter().for_each(|point| starts[of(point)] += 1);
        let mut sum = 0;
        for start in &mut starts {
            sum += std::mem::replace(start, sum);
        }
        for point in points.iter() {
            let place = &mut starts[of(point)];
            other[*place as usize] = *point;
            *place += 1;
        }
        std::mem::swap(points, &mut other);
    }
    for at in 1..points.len() {
        let point = points[at];
        let mut to = at;
        while to > 0 && points[to - 1].position > point.position {
            points[to] = points[to - 1];
            to -= 1;
        }
        points[to] = point;
    }
}
