use std::borrow::Cow;

use crate::results::EndpointMeasured;

/// Rows or columns that there is room for.
const MOST: usize = 40;

/// Endpoints as they are drawn: each for itself, or if they are many, neighbours as one, by their means.
pub(super) fn drawn(endpoints: &[EndpointMeasured]) -> Cow<'_, [EndpointMeasured]> {
    if endpoints.len() <= MOST {
        return endpoints.into();
    }
    endpoints.chunks(endpoints.len().div_ceil(MOST)).map(merged).collect::<Vec<_>>().into()
}

fn merged(neighbours: &[EndpointMeasured]) -> EndpointMeasured {
    let count = neighbours.len().max(1) as f64;
    let first = neighbours.first().map_or("", |endpoint| &endpoint.id);
    let shares: Vec<f64> = neighbours.iter().filter_map(|endpoint| endpoint.share).collect();
    let slices = neighbours.first().map_or(0, |endpoint| endpoint.in_flight.len());
    let mean = |slice: usize| neighbours.iter().map(|of| of.in_flight[slice]).sum::<f32>() / count as f32;
    EndpointMeasured {
        id: format!("{first} …"),
        attempts: neighbours.iter().map(|endpoint| endpoint.attempts).sum(),
        share: (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64),
        utilization: neighbours.iter().map(|endpoint| endpoint.utilization).sum::<f64>() / count,
        in_flight: (0..slices).map(mean).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_endpoints_are_drawn_as_few() {
        let endpoint = |number: u32| EndpointMeasured {
            id: format!("e{number}"),
            attempts: 1,
            share: Some(f64::from(number)),
            utilization: 0.5,
            in_flight: vec![number as f32; 3],
        };
        let many: Vec<EndpointMeasured> = (0..1000).map(endpoint).collect();
        assert_eq!(drawn(&many[..40]).len(), 40);
        let few = drawn(&many);
        assert_eq!((few.len(), few[1].id.as_str(), few[1].attempts), (40, "e25 …", 25));
        assert_eq!((few[1].share, few[1].in_flight[2]), (Some(37.0), 37.0));
    }
}
