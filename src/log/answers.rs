//! The answers in a device's row. The row is written with every batch that holds a SEND of the device, so they are kept
//! as steps from one to the next: four or five bytes each.

use super::record::{DeviceRecord, OddAnswer};

/// What a SEND was answered. `nack` other than 0: refused for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub cseq: u64,
    pub useq: u64,
    pub time_ms: u64,
    pub nack: u32,
    /// The group that was made.
    pub group: u64,
    /// The sender's own key of the message, hashed; 0: it had a number of its own.
    pub key: u64,
}

impl Answer {
    fn numbers(&self) -> [u64; 3] {
        [self.cseq, self.useq, self.time_ms]
    }

    fn is_odd(&self) -> bool {
        (self.nack, self.group, self.key) != (0, 0, 0)
    }
}

impl DeviceRecord {
    /// The answers to the newest send_nos, oldest first, without a hole; the last one answers `last_send_no`.
    pub fn answers(&self) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(self.answer_steps.len() / 3);
        let mut last = Answer::default();
        for step in self.answer_steps.chunks_exact(3) {
            let [cseq, useq, time_ms] = last.numbers();
            last.cseq = cseq.wrapping_add_signed(step[0]);
            last.useq = useq.wrapping_add_signed(step[1]);
            last.time_ms = time_ms.wrapping_add_signed(step[2]);
            answers.push(last);
        }
        for odd in &self.odd_answers {
            if let Some(answer) = answers.get_mut(odd.index as usize) {
                (answer.nack, answer.group, answer.key) = (odd.nack, odd.group, odd.key);
            }
        }
        answers
    }

    /// The same with other answers.
    pub fn with_answers<'a>(mut self, answers: impl ExactSizeIterator<Item = &'a Answer>) -> Self {
        self.answer_steps = Vec::with_capacity(3 * answers.len());
        self.odd_answers.clear();
        let mut last = [0; 3];
        for (index, answer) in answers.enumerate() {
            let numbers = answer.numbers();
            self.answer_steps.extend(numbers.iter().zip(last).map(|(number, last)| number.wrapping_sub(last) as i64));
            last = numbers;
            if answer.is_odd() {
                let Answer { nack, group, key, .. } = *answer;
                self.odd_answers.push(OddAnswer { index: index as u32, nack, group, key });
            }
        }
        self
    }

    /// What a SEND was answered for good, if that is still kept.
    pub fn answer(&self, send_no: u64) -> Option<Answer> {
        let back = self.last_send_no.checked_sub(send_no)?;
        let answers = self.answers();
        let index = (answers.len() as u64).checked_sub(back + 1)?;
        answers.get(index as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn answers_come_back_as_they_were() {
        let message = |number: u64| Answer {
            cseq: 1000 + number,
            useq: 5000 + 2 * number,
            time_ms: 1_795_132_800_000 + 37 * number,
            ..Answer::default()
        };
        let mut answers: Vec<_> = (0..64).map(message).collect();
        let plain = DeviceRecord::default().with_answers(answers.iter());
        assert!(plain.encoded_len() < 64 * 5, "{} bytes", plain.encoded_len());
        answers[7] = Answer { nack: 19, ..Answer::default() };
        answers[8] = Answer { useq: u64::MAX, key: u64::MAX, ..Answer::default() };
        answers[63].group = 9;
        let row = DeviceRecord { last_send_no: 100, ..plain }.with_answers(answers.iter());
        let row = DeviceRecord::decode(row.encode_to_vec().as_slice()).unwrap();
        assert_eq!(row.answers(), answers);
        assert_eq!((row.answer(36), row.answer(37), row.answer(100)), (None, Some(answers[0]), Some(answers[63])));
        assert_eq!(row.answer(101), None);
    }
}
