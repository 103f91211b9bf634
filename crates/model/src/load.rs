/// What an endpoint says of its load, in thousandths; 0 for what it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LoadReport {
    /// Use of the processor; may be above 1000.
    pub cpu: u32,
    pub memory: u32,
    /// What the application considers its load; may be above 1000.
    pub utilization: u32,
    pub requests_per_second: u32,
    pub errors_per_second: u32,
}
