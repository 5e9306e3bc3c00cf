//! bcrypt for several passwords at once, in one thread.
//!
//! # What is interleaved
//!
//! bcrypt (Provos and Mazières, USENIX 1999) is a long chain of Blowfish encryptions, each of which
//! needs the result of the one before, and each round of which looks up four words in a table of
//! 4 KiB that the chain itself keeps rewriting. A core can have many look-ups under way, but one
//! chain gives it only four to wait for, so most of the time it waits. Here `N` chains, each with
//! its own password, salt and table, take turns: round 1 of all, round 2 of all, … While the
//! look-ups of one are under way, the core works on the others'. Nothing is shared between them.
//!
//! # Hashes of a lower cost
//!
//! A hash of cost `c` is read off the tables after 2^c rounds, which does not change them. So a lane
//! gives its hash at a cost of its own on the way and goes on with the others to the end: all lanes
//! do the same number of rounds, and what comes out at the end is the hash of the same password and
//! salt at the higher cost.
//!
//! # Why it is the same function
//!
//! Every lane does the operations of bcrypt in the order of bcrypt on data of its own; only what
//! other lanes do in between differs, and they cannot touch it. The tests compare every number of
//! lanes with the `bcrypt` crate, and so does [`try_out`] at each start, on the processor at hand.
//!
//! # What its timing tells
//!
//! No more than that of bcrypt: no branch and no number of steps depends on a password or a salt, and
//! the addresses of the look-ups depend on them exactly as they do there, which another program on
//! the core could in theory watch through its cache in either. Lanes add noise to that.

#![expect(
    clippy::inline_always,
    clippy::many_single_char_names,
    clippy::needless_range_loop,
    reason = "the innermost loops say `for lane in 0..N`, and must be unrolled to be fast"
)]

use std::time::{Duration, Instant};

use zeroize::{Zeroize, Zeroizing};

use super::blowfish_tables;
use super::cost::Cost;

/// The most lanes that are worth it. Measured with up to eight: 5 and 6 hash 3.2 times as much as one,
/// 7 and 8 less, since their tables no longer fit into the first-level cache beside everything else,
/// and 5 are done sooner. `cargo bench` has those up to 5.
pub const MAX_LANES: usize = 5;

/// The length of a hash: bcrypt's own encoding drops the last byte of 24.
const HASH_BYTES: usize = 23;

/// What comes out of bcrypt.
pub type Hash = [u8; HASH_BYTES];

/// What goes into one lane.
pub struct Input {
    /// The password as the 18 words that bcrypt mixes in.
    key: Zeroizing<Words>,
    salt: [u8; 16],
    /// The cost of the hash that is wanted on the way, at most that of all lanes.
    cost: Cost,
}

/// What comes out of one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The hash at the cost of the input.
    pub at_own_cost: Hash,
    /// The hash at the cost of all lanes; the same if the costs are.
    pub at_the_end: Hash,
}

/// As many words as Blowfish has subkeys.
type Words = [u32; 18];

impl Input {
    /// Takes a password of at most 72 bytes. bcrypt ends it with a NUL, unless it fills the 72.
    pub fn new(password: &[u8], salt: [u8; 16], cost: Cost) -> Self {
        let password = password.iter().copied().chain([0]);
        let key = Zeroizing::new(words(password));
        Self { key, salt, cost }
    }
}

/// The first 72 bytes of what is repeated without end, as big-endian words.
fn words(bytes: impl Iterator<Item = u8> + Clone) -> Words {
    let mut endless = bytes.cycle();
    std::array::from_fn(|_| {
        u32::from_be_bytes(std::array::from_fn(|_| endless.next().unwrap_or_default()))
    })
}

/// The two halves of a block, for each lane.
type Blocks<const N: usize> = [[u32; 2]; N];

/// Blowfish, `N` times over.
struct Lanes<const N: usize> {
    subkeys: [Words; N],
    boxes: [[[u32; 256]; 4]; N],
}

impl<const N: usize> Lanes<N> {
    fn new() -> Self {
        Self {
            subkeys: [blowfish_tables::SUBKEYS; N],
            boxes: [blowfish_tables::BOXES; N],
        }
    }

    /// Encrypts one block in every lane: the innermost loops, where lanes take turns. They call nothing and
    /// count by hand, so that they are not slow where nothing is optimized, as for tests, either.
    #[inline(always)]
    fn encrypt(&self, blocks: &mut Blocks<N>) {
        let mut round = 0;
        while round < 16 {
            let mut lane = 0;
            while lane < N {
                let [left, right] = blocks[lane];
                let [first, second, third, fourth] = &self.boxes[lane];
                let half = left ^ self.subkeys[lane][round];
                let sum =
                    first[(half >> 24) as usize].wrapping_add(second[(half >> 16 & 0xFF) as usize]);
                let mixed = (sum ^ third[(half >> 8 & 0xFF) as usize])
                    .wrapping_add(fourth[(half & 0xFF) as usize]);
                blocks[lane] = [right ^ mixed, half];
                lane += 1;
            }
            round += 1;
        }
        for lane in 0..N {
            let [left, right] = blocks[lane];
            blocks[lane] = [
                right ^ self.subkeys[lane][17],
                left ^ self.subkeys[lane][16],
            ];
        }
    }

    /// Mixes a key into the subkeys of each lane, then replaces all subkeys and boxes by what
    /// encrypting makes of them. `season` changes the blocks before each encryption.
    #[inline(always)]
    fn expand(&mut self, keys: [&Words; N], mut season: impl FnMut(&mut Blocks<N>)) {
        for lane in 0..N {
            for (subkey, word) in self.subkeys[lane].iter_mut().zip(keys[lane]) {
                *subkey ^= word;
            }
        }
        let mut blocks = [[0; 2]; N];
        for pair in 0..9 {
            season(&mut blocks);
            self.encrypt(&mut blocks);
            for lane in 0..N {
                self.subkeys[lane][2 * pair] = blocks[lane][0];
                self.subkeys[lane][2 * pair + 1] = blocks[lane][1];
            }
        }
        for table in 0..4 {
            for pair in 0..128 {
                season(&mut blocks);
                self.encrypt(&mut blocks);
                for lane in 0..N {
                    self.boxes[lane][table][2 * pair] = blocks[lane][0];
                    self.boxes[lane][table][2 * pair + 1] = blocks[lane][1];
                }
            }
        }
    }
}

impl<const N: usize> Lanes<N> {
    /// Does so many rounds. A function of its own, so that the compiler has all registers for this loop.
    #[inline(never)]
    fn run(&mut self, rounds: u64, keys: [&Words; N], salts: &[Words; N]) {
        let salts = salts.each_ref();
        for _ in 0..rounds {
            self.expand(keys, |_| {});
            self.expand(salts, |_| {});
        }
    }

    /// The hashes by the tables as they are.
    #[inline(never)]
    fn hashes(&self) -> [Hash; N] {
        const TEXT: &[u8; 24] = b"OrpheanBeholderScryDoubt";

        let mut hashes = [[0; HASH_BYTES + 1]; N];
        for start in [0, 8, 16] {
            let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|byte| TEXT[at + byte]));
            let mut blocks = [[word(start), word(start + 4)]; N];
            for _ in 0..64 {
                self.encrypt(&mut blocks);
            }
            for lane in 0..N {
                hashes[lane][start..start + 4].copy_from_slice(&blocks[lane][0].to_be_bytes());
                hashes[lane][start + 4..start + 8].copy_from_slice(&blocks[lane][1].to_be_bytes());
            }
        }
        hashes.map(without_last_byte)
    }
}

impl<const N: usize> Drop for Lanes<N> {
    fn drop(&mut self) {
        self.subkeys.as_flattened_mut().zeroize();
        self.boxes.as_flattened_mut().as_flattened_mut().zeroize();
    }
}

/// The hashes of at most [`MAX_LANES`] inputs, in their order. Each lane does the rounds of `cost`.
///
/// Where the compiler does not optimize, as for tests, the crate is faster, and has them.
pub fn hash_together(cost: Cost, inputs: &[Input]) -> Vec<Output> {
    if cfg!(debug_assertions) {
        hash_by_crate(cost, inputs)
    } else {
        hash_in_lanes(cost, inputs)
    }
}

fn hash_in_lanes(cost: Cost, inputs: &[Input]) -> Vec<Output> {
    match inputs {
        [a, b] => interleave(cost, [a, b]).into(),
        [a, b, c] => interleave(cost, [a, b, c]).into(),
        [a, b, c, d] => interleave(cost, [a, b, c, d]).into(),
        [a, b, c, d, e] => interleave(cost, [a, b, c, d, e]).into(),
        alone => {
            let alone = alone.iter();
            alone.flat_map(|input| interleave(cost, [input])).collect()
        }
    }
}

/// The same by the `bcrypt` crate, one by one. One of a lower cost takes the rounds of that in
/// addition.
pub fn hash_by_crate(cost: Cost, inputs: &[Input]) -> Vec<Output> {
    let output = |input: &Input| {
        let at_own_cost = by_crate(input.cost, input);
        let at_the_end = if input.cost == cost {
            at_own_cost
        } else {
            by_crate(cost, input)
        };
        Output {
            at_own_cost,
            at_the_end,
        }
    };
    inputs.iter().map(output).collect()
}

fn by_crate(cost: Cost, input: &Input) -> Hash {
    // The crate repeats a password until it fills 72 bytes, so a repeated one is the same to it.
    let mut password = Zeroizing::new([0; 72]);
    for (bytes, word) in password.chunks_exact_mut(4).zip(*input.key) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    without_last_byte(bcrypt::bcrypt(cost.0, input.salt, &*password))
}

fn without_last_byte(hash: [u8; HASH_BYTES + 1]) -> Hash {
    std::array::from_fn(|byte| hash[byte])
}

/// The hashes of `N` inputs, side by side.
fn interleave<const N: usize>(cost: Cost, inputs: [&Input; N]) -> [Output; N] {
    let keys = inputs.map(|input| &*input.key);
    let salts = inputs.map(|input| words(input.salt.into_iter()));

    let mut lanes = Box::new(Lanes::<N>::new());
    // Only the first expansion is seasoned: with the four words of the salt, two by two, in turn.
    let mut half = 0;
    lanes.expand(keys, |blocks| {
        for lane in 0..N {
            blocks[lane][0] ^= salts[lane][half];
            blocks[lane][1] ^= salts[lane][half + 1];
        }
        half ^= 2;
    });

    let mut stops: Vec<Cost> = inputs.iter().map(|input| input.cost).collect();
    stops.push(cost);
    stops.sort_unstable();
    stops.dedup();
    let mut outputs = [Output::default(); N];
    let mut rounds = 0;
    for stop in stops {
        lanes.run(stop.rounds() - rounds, keys, &salts);
        rounds = stop.rounds();
        let hashes = lanes.hashes();
        for lane in 0..N {
            if inputs[lane].cost == stop {
                outputs[lane].at_own_cost = hashes[lane];
            }
            outputs[lane].at_the_end = hashes[lane];
        }
    }
    outputs
}

/// Compares every number of lanes with the `bcrypt` crate, on the processor at hand. Returns how
/// long all lanes together took at the lowest cost; `None` if any disagreed.
pub fn try_out() -> Option<Duration> {
    /// For the hashes on the way.
    const LOWER: Cost = Cost(3);

    let passwords: [&[u8]; MAX_LANES] = [b"b4l0u", b"", b"\xFF\x80", &[b'x'; 71], &[b'y'; 72]];
    let inputs: Vec<Input> = passwords
        .iter()
        .zip(0x5A..)
        .zip([Cost::MIN, LOWER].into_iter().cycle())
        .map(|((password, salt), cost)| Input::new(password, [salt; 16], cost))
        .collect();
    let expected = hash_by_crate(Cost::MIN, &inputs);
    let mut time = Duration::ZERO;
    for lanes in 1..=MAX_LANES {
        let started = Instant::now();
        let outputs = hash_together(Cost::MIN, &inputs[..lanes]);
        time = started.elapsed();
        if outputs != expected[..lanes] {
            return None;
        }
    }
    Some(time)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use bcrypt::{BASE_64, HashParts};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn input(password: &[u8], lane: usize, cost: Cost) -> Input {
        Input::new(password, [u8::try_from(lane).unwrap(); 16], cost)
    }

    #[test]
    fn any_number_of_lanes_agrees_with_the_crate_whatever_the_cost() {
        for cost in 4..=10 {
            let cost = Cost::new(cost).unwrap();
            let inputs: Vec<Input> = (0..MAX_LANES)
                .map(|lane| input(&vec![b'a'; lane * 18], lane, cost))
                .collect();
            let by_crate = hash_by_crate(cost, &inputs);
            // A higher cost is more of the same rounds, which take long where nothing is optimized.
            let fewest = if cost.0 <= 8 { 1 } else { MAX_LANES };
            for lanes in fewest..=MAX_LANES {
                let together = hash_in_lanes(cost, &inputs[..lanes]);
                assert_eq!(together, by_crate[..lanes], "{lanes} lanes, cost {cost}");
            }
        }
        assert!(try_out().is_some());
    }

    #[test]
    fn each_lane_gives_its_hash_at_a_cost_of_its_own_and_at_that_of_all() {
        for costs in [[4, 4, 4, 4, 4], [4, 5, 6, 7, 8], [8, 6, 8, 4, 6]] {
            let all = Cost(8);
            let inputs: Vec<Input> = costs
                .into_iter()
                .enumerate()
                .map(|(lane, cost)| input(b"b4l0u", lane, Cost(cost)))
                .collect();
            for lanes in 1..=MAX_LANES {
                let outputs = hash_in_lanes(all, &inputs[..lanes]);
                for (output, input) in outputs.iter().zip(&inputs) {
                    assert_eq!(output.at_own_cost, by_crate(input.cost, input));
                    assert_eq!(output.at_the_end, by_crate(all, input));
                }
            }
        }
    }

    #[test]
    fn published_vectors_come_out_of_every_lane() {
        // From jBCrypt's test suite, as many implementations carry them.
        let vectors = [
            (
                "",
                "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.",
            ),
            (
                "a",
                "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe",
            ),
            (
                "abc",
                "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
            ),
            (
                "abcdefghijklmnopqrstuvwxyz",
                "$2a$06$.rCVZVOThsIa97pEDOxvGuRRgzG64bvtJ0938xuqzv18d3ZpQhstC",
            ),
            (
                "~!@#$%^&*()      ~!@#$%^&*()PNBFRD",
                "$2a$06$fPIsBO8qRqkjj273rfaOI.HtSV9jLDpTbZn782DC6/t7qT67P6FfO",
            ),
        ];
        let inputs = vectors.map(|(password, hash)| {
            let parts: HashParts = hash.parse().unwrap();
            Input::new(password.as_bytes(), parts.get_salt_raw(), Cost(6))
        });
        let outputs = hash_in_lanes(Cost(6), &inputs);
        for ((password, expected), output) in vectors.iter().zip(outputs) {
            let hash = BASE_64.encode(output.at_the_end);
            assert!(expected.ends_with(&hash), "{password:?}");
        }
    }

    proptest! {
        #[test]
        fn any_passwords_and_salts_hash_as_by_the_crate(
            inputs in vec((vec(any::<u8>(), 0..=72), any::<[u8; 16]>()), 1..=MAX_LANES)
        ) {
            let expected: Vec<String> = inputs
                .iter()
                .map(|(password, salt)| {
                    bcrypt::hash_with_salt(password, 4, *salt).unwrap().to_string()
                })
                .collect();
            let inputs: Vec<Input> = inputs
                .iter()
                .map(|(password, salt)| Input::new(password, *salt, Cost::MIN))
                .collect();
            for (output, expected) in hash_in_lanes(Cost::MIN, &inputs).iter().zip(expected) {
                prop_assert!(expected.ends_with(&BASE_64.encode(output.at_the_end)));
            }
        }
    }

    #[test]
    fn a_repeated_password_is_what_the_crate_makes_of_it() {
        for length in 0..=72 {
            let password = vec![b'p'; length];
            let input = Input::new(&password, [9; 16], Cost::MIN);
            let parts = bcrypt::hash_with_salt(&password, 4, [9; 16]).unwrap();
            let hash = parts.to_string();
            let ours = BASE_64.encode(by_crate(Cost::MIN, &input));
            assert!(hash.ends_with(&ours), "{length} bytes");
        }
    }
}
