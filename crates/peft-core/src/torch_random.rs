//! [`TorchRandom`]: the numbers that PyTorch draws on a CPU by a seed, to the bit.

use std::collections::HashMap;

/// Numbers of the state of the generator.
const N: usize = 624;
/// How far what is mixed into a number lies from it.
const M: usize = 397;

/// The Mersenne twister MT19937 as `torch.Generator("cpu").manual_seed(seed)` has it. *Mersenne
/// Twister*, Matsumoto and Nishimura 1998.
///
/// PEFT draws VeRA's matrices and the places of what is sparse with it, so a file without them says
/// by its seed what they are.
#[derive(Debug, Clone)]
pub struct TorchRandom {
    state: Vec<u32>,
    at: usize,
}

impl TorchRandom {
    /// By a seed, of which PyTorch takes the lower 32 bits.
    pub fn new(seed: u64) -> Self {
        let mut state = Vec::with_capacity(N);
        let mut last = seed as u32;
        state.push(last);
        for i in 1..N as u32 {
            last = (last ^ (last >> 30))
                .wrapping_mul(1_812_433_253)
                .wrapping_add(i);
            state.push(last);
        }
        Self { state, at: N }
    }

    fn next(&mut self) -> u32 {
        if self.at == N {
            for i in 0..N {
                let (next, mixed) = (self.state[(i + 1) % N], self.state[(i + M) % N]);
                let bits = (self.state[i] & 0x8000_0000) | (next & 0x7fff_ffff);
                let odd = if bits & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = mixed ^ (bits >> 1) ^ odd;
            }
            self.at = 0;
        }
        let mut bits = self.state[self.at];
        self.at += 1;
        bits ^= bits >> 11;
        bits ^= (bits << 7) & 0x9d2c_5680;
        bits ^= (bits << 15) & 0xefc6_0000;
        bits ^ (bits >> 18)
    }

    /// So many numbers, uniform in `[−bound, bound)`: `Tensor.uniform_` of `f32`.
    pub fn uniform(&mut self, n: usize, bound: f64) -> Vec<f32> {
        let (low, width) = (-bound as f32, bound as f32 + bound as f32);
        let part = 1.0 / (1u32 << 24) as f32;
        let one = |_| {
            let unit = (self.next() & 0x00ff_ffff) as f32 * part;
            // PyTorch's own code is compiled to one rounding of both operations.
            unit.mul_add(width, low)
        };
        (0..n).map(one).collect()
    }
}

impl TorchRandom {
    /// The first `n` numbers of `torch.randperm(of)`. No others are kept, but for at most `n`
    /// places that they have left. From some two hundred million on, where PyTorch shuffles
    /// otherwise, the draws of all are made: a second or more.
    ///
    /// # Panics
    ///
    /// If `n` is above `of`.
    pub fn permuted(&mut self, of: usize, n: usize) -> Vec<usize> {
        assert!(n <= of, "{n} numbers of a permutation of {of}");
        if of as u64 >= u64::from(u32::MAX / 20) {
            return self.permuted_from_inside(of as u64, n);
        }
        let mut moved: HashMap<usize, usize> = HashMap::new();
        let one = |i| {
            let at = i + self.next() as usize % (of - i);
            let here = moved.get(&i).copied().unwrap_or(i);
            moved.insert(at, here).unwrap_or(at)
        };
        // The last is drawn by nothing, but is what is left.
        (0..n).map(one).collect()
    }

    /// The same by 64 bits a draw: each number in turn takes a place among those before it, whose
    /// own goes behind.
    fn permuted_from_inside(&mut self, of: u64, n: usize) -> Vec<usize> {
        let mut first: Vec<usize> = Vec::with_capacity(n);
        for i in 0..of {
            let bits = u64::from(self.next()) << 32 | u64::from(self.next());
            let at = (bits % (i + 1)) as usize;
            if first.len() < n {
                first.push(first.get(at).copied().unwrap_or(i as usize));
            }
            if let Some(place) = first.get_mut(at) {
                *place = i as usize;
            }
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `torch.empty(4).uniform_(-1, 1, generator=torch.Generator().manual_seed(0))` is, and a
    /// number behind the first state.
    #[test]
    fn the_numbers_are_those_of_torch() {
        let mut random = TorchRandom::new(0);
        let found = random.uniform(1000, 1.0);
        assert_eq!(&found[..4], &FIRST);
        assert_eq!(found[999], LAST);
    }

    /// The first of `torch.randperm(n, generator=torch.Generator().manual_seed(5))` of a length for
    /// which it takes 32 bits. Of one for which it takes 64 the same is shown of fewer numbers, by
    /// numpy's twister: of 214,748,364 the first are 91252029, 200188117, 89143689, 193777243 by
    /// torch, by numpy and here, which takes ten seconds.
    #[test]
    fn permutations_are_those_of_torch() {
        let first = |of, n| TorchRandom::new(5).permuted(of, n);
        assert_eq!(first(100, 5), [11, 22, 39, 23, 42]);
        let inside = TorchRandom::new(5).permuted_from_inside(1_000_000, 4);
        assert_eq!(inside, [482978, 500813, 136929, 596330]);
        assert_eq!(TorchRandom::new(777).permuted(6, 6), [5, 0, 1, 2, 3, 4]);
    }

    const FIRST: [f32; 4] = [-0.00748682, 0.5364436, -0.82304513, -0.735939];
    const LAST: f32 = -0.19227314;
}
