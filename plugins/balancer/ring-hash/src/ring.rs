//! A ring of points. Each endpoint has many of them, and a key goes to the endpoint of the first point at or after it.

use plimsoll_sdk::{Endpoint, Endpoints, sort_by};
use xxhash_rust::xxh64::xxh64;

use crate::Layout;
use crate::layout::{envoy_points, nginx_points};
use crate::point::{Member, Point, point};

/// Points in ascending order.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// Of all endpoints that have a weight, whatever their availability. Owners are indices into `made_of`.
    all: Vec<Point>,
    /// Of the ready ones: what is looked at. Owners are slots.
    live: Vec<Point>,
    /// What `all` was made of, in the order in which the points were made.
    made_of: Vec<Member>,
    /// Made elsewhere for endpoints that are yet to come: positions and owners in turn, and last the fingerprint of the
    /// members.
    prepared: Vec<u32>,
}

impl Ring {
    /// The endpoints are now these. Points are only laid out anew when addresses, weights or members changed: what takes
    /// part because it is ready again is only a matter of filtering.
    pub(crate) fn update(&mut self, endpoints: &Endpoints, layout: &Layout) {
        let members = members(endpoints);
        let prepared = std::mem::take(&mut self.prepared);
        if members != self.made_of {
            self.all.clear();
            match prepared.strip_suffix(&fingerprint(&members)) {
                Some(points) => self.all.extend(points.chunks_exact(2).map(|pair| point(pair[0], pair[1]))),
                None => self.lay_out(&members, layout),
            }
            self.made_of = members;
        }
        let ready = endpoints.ready();
        let slot = |member: &Member| ready.binary_search_by_key(&member.slot, |e| e.slot).ok().map(|_| member.slot);
        let slots: Vec<Option<u32>> = self.made_of.iter().map(slot).collect();
        let live = |at: &Point| Some(point((at >> 32) as u32, (*slots.get(*at as u32 as usize)?)?));
        self.live.clear();
        self.live.extend(self.all.iter().filter_map(live));
    }

    fn lay_out(&mut self, members: &[Member], layout: &Layout) {
        match layout {
            Layout::Nginx { most } => nginx_points(members, *most, &mut self.all),
            Layout::Envoy { least, most } => envoy_points(members, *least, *most, &mut self.all),
        }
        sort(&mut self.all);
    }

    /// The points as another instance can take them, for the same members.
    pub(crate) fn prepared(&self) -> Vec<u32> {
        let fingerprint = fingerprint(&self.made_of);
        let mut numbers = Vec::with_capacity(2 * self.all.len() + fingerprint.len());
        for point in &self.all {
            numbers.push((point >> 32) as u32);
            numbers.push(*point as u32);
        }
        numbers.extend_from_slice(&fingerprint);
        numbers
    }

    /// Points that another instance has made, for endpoints that are yet to come.
    pub(crate) fn adopt(&mut self, prepared: Vec<u32>) {
        self.prepared = prepared;
    }

    /// Slots in the order in which the ring leads to them from `position` on, repeated as they come, once around.
    #[inline]
    pub(crate) fn from(&self, position: u32) -> impl Iterator<Item = u32> {
        let first = point(position, 0);
        let start = self.live.partition_point(|point| *point < first);
        let (before, after) = self.live.split_at(start);
        after.iter().chain(before).map(|point| *point as u32)
    }
}

/// Those of the priority level that is in use, in an order that is the same on every machine.
fn members(endpoints: &Endpoints) -> Vec<Member> {
    let level = endpoints.ready().first().and_then(|ready| endpoints.get(ready.slot)).map(|e| e.priority);
    let member = |e: &Endpoint| Member {
        slot: e.slot,
        address: e.address.clone(),
        weight: f64::from(e.weight.min(65_535)),
        part: f64::from(e.ramp.clamp(1, 1000)) / 1000.0,
    };
    let takes_part = |e: &&Endpoint| e.weight > 0 && Some(e.priority) == level;
    let mut ordered: Vec<&Endpoint> = endpoints.iter().filter(takes_part).collect();
    sort_by(&mut ordered, |a, b| a.address.cmp(&b.address).then(a.id_hash.cmp(&b.id_hash)).then(a.slot.cmp(&b.slot)));
    ordered.into_iter().map(member).collect()
}

/// Of what a ring is made of; the layout is each instance's own, and the same.
fn fingerprint(members: &[Member]) -> [u32; 2] {
    let add = |sum, member: &Member| {
        let sum = xxh64(member.address.as_bytes(), sum ^ u64::from(member.slot));
        xxh64(&member.weight.to_bits().to_le_bytes(), sum ^ member.part.to_bits())
    };
    let sum: u64 = members.iter().fold(members.len() as u64, add);
    [sum as u32, (sum >> 32) as u32]
}

/// Into ascending order. Points are made in the order of their owners, so that sorting by the position alone does; by its
/// digits, since comparing takes several times as long on large rings.
pub(crate) fn sort(points: &mut Vec<Point>) {
    const BITS: u32 = 11;
    let mut other = vec![0; points.len()];
    for shift in [32, 32 + BITS, 32 + 2 * BITS] {
        let digit = |point: &Point| (point >> shift) as usize & ((1 << BITS) - 1);
        let mut starts = [0_u32; 1 << BITS];
        points.iter().for_each(|point| starts[digit(point)] += 1);
        let mut sum = 0;
        for start in &mut starts {
            sum += std::mem::replace(start, sum);
        }
        for point in points.iter() {
            let place = &mut starts[digit(point)];
            other[*place as usize] = *point;
            *place += 1;
        }
        std::mem::swap(points, &mut other);
    }
}
