//! What a client sends, as octets.

/// One frame on channel 1.
pub(crate) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[kind, 0, 1], &size[..], payload, &[0xCE]].concat()
}

/// basic.publish with its content; `properties` begin with their flags. The body fits into one frame.
pub(crate) fn publish(exchange: &str, key: &str, properties: &[u8], body: usize) -> Vec<u8> {
    let method = [&[0, 60, 0, 40, 0, 0][..], &short(exchange), &short(key), &[0]].concat();
    let size = u64::try_from(body).unwrap_or(u64::MAX).to_be_bytes();
    let header = [&[0, 60, 0, 0][..], &size, properties].concat();
    [frame(1, &method), frame(2, &header), frame(3, &vec![7; body])].concat()
}

fn short(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("a short string is at most 255 octets");
    [&[length], text.as_bytes()].concat()
}
