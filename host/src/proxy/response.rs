use super::response_body::ResponseBody;

/// What a client is answered.
pub type Response = plimsoll_fields::Response<ResponseBody>;
