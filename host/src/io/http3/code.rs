use plimsoll_http3::Code;
use quinn::VarInt;

/// How QUIC carries a code.
pub trait IntoQuic {
    fn into_quic(self) -> VarInt;
}

impl IntoQuic for Code {
    fn into_quic(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }
}
