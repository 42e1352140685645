//! Pure: decodes the base64 in which the protocol carries pictures.

/// Decodes standard base64 with or without padding; `None` if a character is not of its alphabet.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut bit_count) = (0_u32, 0);
    for character in text.trim_end_matches('=').bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        bit_count += 6;
        if bit_count >= 8 {
            bit_count -= 8;
            bytes.push((bits >> bit_count & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn decodes_every_padding_and_refuses_other_characters() {
        assert_eq!(decode("").as_deref(), Some(b"".as_slice()));
        assert_eq!(decode("Zg==").as_deref(), Some(b"f".as_slice()));
        assert_eq!(decode("Zm8=").as_deref(), Some(b"fo".as_slice()));
        assert_eq!(decode("Zm9v").as_deref(), Some(b"foo".as_slice()));
        assert_eq!(decode("+/8A").as_deref(), Some([0xfb, 0xff, 0x00].as_slice()));
        assert_eq!(decode("Zm 9v"), None);
    }
}
