//! Work compiled for the widest instructions of the machine that it runs on.
// A function for instructions that not every machine has is called where they are.
#![allow(unsafe_code)]

/// `a b + c`, rounded once or twice.
pub(super) trait Arithmetic: 'static {
    fn multiply_add(a: f32, b: f32, c: f32) -> f32;
}

/// Rounded once, by one instruction.
pub(super) struct Fused;

/// Rounded twice: without that instruction, rounding once is a call into a library.
pub(super) struct Unfused;

impl Arithmetic for Fused {
    #[inline(always)]
    fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl Arithmetic for Unfused {
    #[inline(always)]
    fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// What is to be done. `run` has to be inlined, with all that it calls, to profit.
pub(super) trait Work {
    type Output;
    fn run<A: Arithmetic>(self) -> Self::Output;
}

/// Do it with the widest instructions that there are.
pub(super) fn widest<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
        {
            // SAFETY: the processor has every feature that the function is compiled for.
            return unsafe { avx512(work) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: as above.
            return unsafe { avx2(work) };
        }
        work.run::<Unfused>()
    }
    #[cfg(target_arch = "aarch64")]
    return work.run::<Fused>();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    work.run::<Unfused>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
fn avx512<W: Work>(work: W) -> W::Output {
    work.run::<Fused>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<W: Work>(work: W) -> W::Output {
    work.run::<Fused>()
}
