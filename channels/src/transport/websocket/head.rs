//! What stands before the bytes of a frame that a server sends (RFC 6455, section 5.2).
//!
//! Pure: a frame in, a few bytes out. All frames of ours are whole messages, and a server's are not masked.

use crate::serializer::Frame;

/// The longest head.
pub(super) const HEAD_BYTES_MAX: usize = 10;

/// The head of one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    len: u8,
}

impl Head {
    pub(super) const NONE: Self = Self { bytes: [0; HEAD_BYTES_MAX], len: 0 };

    pub(super) fn of(frame: &Frame) -> Self {
        let opcode = match frame {
            Frame::Text(_) => 1,
            Frame::Binary(_) => 2,
        };
        let mut bytes = [0; HEAD_BYTES_MAX];
        bytes[0] = 0x80 | opcode;
        let len = match frame.len() {
            len @ 0..126 => {
                bytes[1] = len as u8;
                2
            }
            len @ 126..0x1_0000 => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                4
            }
            len => {
                bytes[1] = 127;
                bytes[2..].copy_from_slice(&(len as u64).to_be_bytes());
                10
            }
        };
        Self { bytes, len }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn each_length_class_has_its_head() {
        let table: [(usize, &[u8]); 7] = [
            (0, &[0x82, 0]),
            (1, &[0x82, 1]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (0xffff, &[0x82, 126, 0xff, 0xff]),
            (0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
            (0x0102_0304, &[0x82, 127, 0, 0, 0, 0, 1, 2, 3, 4]),
        ];
        for (len, want) in table {
            let frame = Frame::Binary(Bytes::from(vec![0; len]));
            assert_eq!(Head::of(&frame).as_bytes(), want, "{len}");
        }
        assert_eq!(Head::of(&Frame::from("hello")).as_bytes(), [0x81, 5]);
    }
}
