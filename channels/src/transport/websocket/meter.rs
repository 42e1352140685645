//! What a client's frames cost besides their bytes: how many a message is cut into, and how many control frames there
//! are.
//!
//! Pure: bytes in, counts out. The WebSocket layer joins fragments before anybody sees them, and a message may be cut
//! into any number of frames, empty ones too; so the headers are followed here, as the bytes come off the wire.

/// Follows the frames of a client, header by header. It judges nothing else: what is wrong with a frame is found by the
/// layer that reads it.
#[derive(Debug, Default)]
pub(super) struct FrameMeter {
    /// What has come of the current header, up to its extended length.
    header: [u8; 10],
    header_len: u8,
    /// What is to come of the current frame: its mask and its payload.
    skip: u64,
    /// Frames so far of a message that is not complete.
    fragments: u32,
    /// Control frames since this was asked last.
    controls: u32,
    /// Frames of any kind since this was asked last.
    frames: u32,
    /// The frame under way is the last of its message, or a message of its own.
    ends_message: bool,
    /// Messages that have come whole and were not taken yet.
    whole: u32,
}

/// What has arrived since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) frames: u32,
    pub(super) controls: u32,
}

impl FrameMeter {
    /// Takes the next bytes of the connection; the most frames that one message in them was cut into so far.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> u32 {
        let mut most = 0;
        while let Some((first, rest)) = bytes.split_first() {
            if self.skip > 0 {
                let here = usize::try_from(self.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
                bytes = &bytes[here..];
                self.skip -= here as u64;
                self.count_whole();
                continue;
            }
            bytes = rest;
            self.header[usize::from(self.header_len)] = *first;
            self.header_len += 1;
            if let Some(skip) = self.whole_header() {
                self.header_len = 0;
                self.skip = skip;
                most = most.max(self.count());
                self.count_whole();
            }
        }
        most
    }

    /// What follows the header, if it is whole.
    fn whole_header(&self) -> Option<u64> {
        let [_, second, extended @ ..] = &self.header;
        let (mask, short) = (if second & 0x80 == 0 { 0 } else { 4 }, second & 0x7f);
        let (len, payload) = match short {
            126 => (4, u64::from(u16::from_be_bytes([extended[0], extended[1]]))),
            127 => (10, u64::from_be_bytes(*extended)),
            short => (2, u64::from(short)),
        };
        (self.header_len >= 2 && self.header_len >= len).then(|| payload.saturating_add(mask))
    }

    /// Counts the frame whose header is whole; the frames of its message so far.
    fn count(&mut self) -> u32 {
        self.frames = self.frames.saturating_add(1);
        let (last, opcode) = (self.header[0] & 0x80 != 0, self.header[0] & 0x0f);
        self.ends_message = last || opcode >= 8;
        if opcode >= 8 {
            self.controls = self.controls.saturating_add(1);
            return 0;
        }
        let fragments = self.fragments.saturating_add(1);
        self.fragments = if last { 0 } else { fragments };
        fragments
    }

    /// Counts the message whose last frame is whole now, if it is.
    fn count_whole(&mut self) {
        if self.skip == 0 && self.ends_message {
            self.whole = self.whole.saturating_add(1);
        }
    }

    /// Counts a message that came by itself, as one frame and nothing else, without being fed.
    pub(super) fn count_message(&mut self) {
        self.frames = self.frames.saturating_add(1);
    }

    /// Takes one of the messages that have come whole: the layer above has read it.
    pub(super) fn take_message(&mut self) {
        self.whole = self.whole.saturating_sub(1);
    }

    /// Whether all that has come are whole messages that were taken: whoever joined them holds nothing more.
    pub(super) fn is_empty(&self) -> bool {
        self.ends_with_a_message() && self.whole == 0
    }

    /// Whether the next byte begins a message.
    pub(super) fn ends_with_a_message(&self) -> bool {
        self.skip == 0 && self.header_len == 0 && self.fragments == 0
    }

    /// Whether control frames have arrived since this was asked last.
    pub(super) fn has_controls(&self) -> bool {
        self.controls > 0
    }

    /// What has arrived since this was called last.
    pub(super) fn take_arrived(&mut self) -> Arrived {
        Arrived { frames: std::mem::take(&mut self.frames), controls: std::mem::take(&mut self.controls) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::{fuzz, noise};

    /// A masked frame.
    fn frame(first: u8, len: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match len {
            0..126 => bytes.push(0x80 | u8::try_from(len).unwrap()),
            126..0x1_0000 => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
            len => {
                bytes.push(0x80 | 127);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        bytes.extend([0xff; 4]);
        bytes.resize(bytes.len() + len, 0xff);
        bytes
    }

    fn fed(meter: &mut FrameMeter, bytes: &[u8], step: usize) -> u32 {
        bytes.chunks(step).map(|chunk| meter.feed(chunk)).max().unwrap_or(0)
    }

    #[test]
    fn frames_of_all_lengths_are_told_apart_however_they_arrive() {
        let lens = [0, 1, 125, 126, 127, 0xffff, 0x1_0000, 0x1_0001];
        let bytes: Vec<u8> = lens.iter().flat_map(|len| frame(0x81, *len)).collect();
        for step in [1, 2, 3, 7, 1_024, bytes.len()] {
            let mut meter = FrameMeter::default();
            assert_eq!(fed(&mut meter, &bytes, step), 1);
            assert_eq!(meter.take_arrived(), Arrived { frames: 8, controls: 0 }, "in steps of {step}");
            assert_eq!(meter.take_arrived(), Arrived::default());
        }
    }

    #[test]
    fn fragments_count_up_to_the_last_and_controls_between_them_do_not() {
        let mut meter = FrameMeter::default();
        assert_eq!(meter.feed(&frame(0x01, 3)), 1);
        assert_eq!(meter.feed(&frame(0x89, 4)), 0);
        assert_eq!(meter.feed(&frame(0x00, 0)), 2);
        assert_eq!(meter.feed(&frame(0x80, 5)), 3);
        assert_eq!(meter.take_arrived(), Arrived { frames: 4, controls: 1 });
        assert_eq!(meter.feed(&frame(0x82, 5)), 1, "the next message begins anew");
        let many: Vec<u8> =
            std::iter::once(frame(0x01, 0)).chain((0..999).map(|_| frame(0, 0))).flatten().collect();
        assert_eq!(fed(&mut meter, &many, 4_096), 1_000);
    }

    #[test]
    fn an_absurd_length_is_skipped_without_overflow() {
        let mut meter = FrameMeter::default();
        meter.feed(&[0x82, 0xff]);
        meter.feed(&[0xff; 8]);
        assert_eq!(meter.feed(&[0; 1_000]), 0);
        assert_eq!(meter.take_arrived().frames, 1);
    }

    proptest! {
        #![proptest_config(fuzz())]

        #[test]
        fn fuzz_counts_are_the_same_however_the_bytes_arrive(bytes in noise(), step in 1..50_usize) {
            let (mut whole, mut chunked) = (FrameMeter::default(), FrameMeter::default());
            let most = whole.feed(&bytes);
            prop_assert_eq!(fed(&mut chunked, &bytes, step), most);
            prop_assert_eq!(chunked.take_arrived(), whole.take_arrived());
        }

        #[test]
        fn fuzz_frames_are_counted_as_they_were_sent(
            sent in prop::collection::vec((prop::sample::select(vec![0x00_u8, 0x80, 0x01, 0x81, 0x82, 0x88, 0x89, 0x8a]), 0..300_usize), 0..20),
        ) {
            let bytes: Vec<u8> = sent.iter().flat_map(|(first, len)| frame(*first, *len)).collect();
            let mut meter = FrameMeter::default();
            meter.feed(&bytes);
            let controls = sent.iter().filter(|(first, _)| first & 0x0f >= 8).count();
            let want = Arrived { frames: u32::try_from(sent.len()).unwrap(), controls: u32::try_from(controls).unwrap() };
            prop_assert_eq!(meter.take_arrived(), want);
        }
    }
}
