//! Which instructions the processor has, and the vectors that kernels are written over.
#![expect(unsafe_code, reason = "vector loads and stores go through pointers")]
#![expect(
    clippy::inline_always,
    reason = "bodies must end up inside callers compiled for wider instructions"
)]

mod instruction_set;

pub(crate) use instruction_set::{InstructionSet, has_bf16_dot_products};
pub use instruction_set::{InstructionSetError, use_instruction_set};
#[cfg(test)]
pub(crate) use instruction_set::{on_every_path, with_instructions};

/// A register of f32 lanes.
///
/// Every method is unsafe for the same reason: the processor must have the instructions of the implementing type. They
/// are `inline(always)`, so that they end up inside a caller compiled for those instructions.
pub(crate) trait Vector: Copy {
    /// f32 values in one register.
    const LANES: usize;
    /// Every lane set to `value`.
    unsafe fn splat(value: f32) -> Self;
    /// The `LANES` values from `pointer` on; no alignment needed.
    unsafe fn load(pointer: *const f32) -> Self;
    /// Writes the lanes to `pointer`; no alignment needed.
    unsafe fn store(self, pointer: *mut f32);
    /// `self + a * b`, lane by lane.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// `self + other`, lane by lane.
    unsafe fn add(self, other: Self) -> Self;

    /// The columns of the matrix whose rows are the eight values from each of `rows` on.
    #[inline(always)]
    unsafe fn transpose_eight(rows: [*const f32; 8]) -> [[f32; 8]; 8] {
        let mut columns = [[0.0; 8]; 8];
        for (i, row) in rows.into_iter().enumerate() {
            for (j, column) in columns.iter_mut().enumerate() {
                // SAFETY: the caller vouches for eight readable values in each row.
                column[i] = unsafe { row.add(j).read() };
            }
        }
        columns
    }
}

/// `a * b + c`, in one rounding where that is one instruction.
#[inline(always)]
pub(crate) fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    // Without the instruction a fused multiply-add is a call into the maths library.
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// Four lanes in plain Rust, which compilers turn into SSE2 or NEON.
#[derive(Clone, Copy)]
pub(crate) struct Four([f32; 4]);

impl Vector for Four {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(pointer: *const f32) -> Self {
        // SAFETY: the caller vouches for four readable values.
        Self(unsafe { pointer.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, pointer: *mut f32) {
        // SAFETY: the caller vouches for room for four values.
        unsafe { pointer.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| {
            multiply_add(a.0[i], b.0[i], self.0[i])
        }))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! x86_vector {
    ($vector:ident, $lanes:literal, $splat:ident, $load:ident, $store:ident, $fma:ident, $add:ident) => {
        impl Vector for std::arch::x86_64::$vector {
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                // SAFETY: the caller vouches for the instructions.
                unsafe { std::arch::x86_64::$splat(value) }
            }

            #[inline(always)]
            unsafe fn load(pointer: *const f32) -> Self {
                // SAFETY: the caller vouches for the instructions and the memory.
                unsafe { std::arch::x86_64::$load(pointer) }
            }

            #[inline(always)]
            unsafe fn store(self, pointer: *mut f32) {
                // SAFETY: the caller vouches for the instructions and the memory.
                unsafe { std::arch::x86_64::$store(pointer, self) }
            }

            #[inline(always)]
            unsafe fn add_product(self, a: Self, b: Self) -> Self {
                // SAFETY: the caller vouches for the instructions.
                unsafe { std::arch::x86_64::$fma(a, b, self) }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the caller vouches for the instructions.
                unsafe { std::arch::x86_64::$add(self, other) }
            }

            #[inline(always)]
            unsafe fn transpose_eight(rows: [*const f32; 8]) -> [[f32; 8]; 8] {
                // SAFETY: the caller vouches for the instructions and the memory.
                unsafe { avx_transpose(rows) }
            }
        }
    };
}

/// [`Vector::transpose_eight`] with AVX: pairs of rows, then fours, inside halves of registers, and then the halves.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn avx_transpose(rows: [*const f32; 8]) -> [[f32; 8]; 8] {
    use std::arch::x86_64::{
        _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_shuffle_ps, _mm256_unpackhi_ps,
        _mm256_unpacklo_ps,
    };

    // No closures: they would be compiled without the instructions of the caller where they are not inlined.
    // SAFETY: the caller vouches for the instructions and the memory; a vector is eight values.
    unsafe {
        let upper_rows = [
            _mm256_loadu_ps(rows[0]),
            _mm256_loadu_ps(rows[1]),
            _mm256_loadu_ps(rows[2]),
            _mm256_loadu_ps(rows[3]),
        ];
        let lower_rows = [
            _mm256_loadu_ps(rows[4]),
            _mm256_loadu_ps(rows[5]),
            _mm256_loadu_ps(rows[6]),
            _mm256_loadu_ps(rows[7]),
        ];
        let (ab, cd) = (
            _mm256_unpacklo_ps(upper_rows[0], upper_rows[1]),
            _mm256_unpacklo_ps(upper_rows[2], upper_rows[3]),
        );
        let (ab_high, cd_high) = (
            _mm256_unpackhi_ps(upper_rows[0], upper_rows[1]),
            _mm256_unpackhi_ps(upper_rows[2], upper_rows[3]),
        );
        let (ef, gh) = (
            _mm256_unpacklo_ps(lower_rows[0], lower_rows[1]),
            _mm256_unpacklo_ps(lower_rows[2], lower_rows[3]),
        );
        let (ef_high, gh_high) = (
            _mm256_unpackhi_ps(lower_rows[0], lower_rows[1]),
            _mm256_unpackhi_ps(lower_rows[2], lower_rows[3]),
        );
        // Columns i and i + 4 of the upper and of the lower four rows.
        let upper = [
            _mm256_shuffle_ps::<0x44>(ab, cd),
            _mm256_shuffle_ps::<0xee>(ab, cd),
            _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
            _mm256_shuffle_ps::<0xee>(ab_high, cd_high),
        ];
        let lower = [
            _mm256_shuffle_ps::<0x44>(ef, gh),
            _mm256_shuffle_ps::<0xee>(ef, gh),
            _mm256_shuffle_ps::<0x44>(ef_high, gh_high),
            _mm256_shuffle_ps::<0xee>(ef_high, gh_high),
        ];
        std::mem::transmute([
            _mm256_permute2f128_ps::<0x20>(upper[0], lower[0]),
            _mm256_permute2f128_ps::<0x20>(upper[1], lower[1]),
            _mm256_permute2f128_ps::<0x20>(upper[2], lower[2]),
            _mm256_permute2f128_ps::<0x20>(upper[3], lower[3]),
            _mm256_permute2f128_ps::<0x31>(upper[0], lower[0]),
            _mm256_permute2f128_ps::<0x31>(upper[1], lower[1]),
            _mm256_permute2f128_ps::<0x31>(upper[2], lower[2]),
            _mm256_permute2f128_ps::<0x31>(upper[3], lower[3]),
        ])
    }
}

/// Has the processor bring the line of memory at `address` close, where it can be asked to; any address will do.
#[inline(always)]
pub(crate) fn prefetch(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction, which reads nothing that a program could see.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(target_arch = "x86_64")]
x86_vector!(
    __m256,
    8,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_fmadd_ps,
    _mm256_add_ps
);
#[cfg(target_arch = "x86_64")]
x86_vector!(
    __m512,
    16,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps
);

#[cfg(target_arch = "aarch64")]
impl Vector for std::arch::aarch64::float32x4_t {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller vouches for the instructions.
        unsafe { std::arch::aarch64::vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load(pointer: *const f32) -> Self {
        // SAFETY: the caller vouches for the instructions and the memory.
        unsafe { std::arch::aarch64::vld1q_f32(pointer) }
    }

    #[inline(always)]
    unsafe fn store(self, pointer: *mut f32) {
        // SAFETY: the caller vouches for the instructions and the memory.
        unsafe { std::arch::aarch64::vst1q_f32(pointer, self) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller vouches for the instructions.
        unsafe { std::arch::aarch64::vfmaq_f32(self, a, b) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller vouches for the instructions.
        unsafe { std::arch::aarch64::vaddq_f32(self, other) }
    }
}

/// Declares a function over slices that is compiled for each instruction set and dispatches at run time.
///
/// The body is ordinary Rust in a shape that the compiler vectorises.
macro_rules! vectorised {
    ($(#[$meta:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        $visibility fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn body($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) $(-> $result)? {
                body($($argument),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($argument: $type),*) $(-> $result)? {
                body($($argument),*)
            }

            match $crate::kernels::simd::InstructionSet::detect() {
                $crate::kernels::simd::InstructionSet::Portable => body($($argument),*),
                // Every program for aarch64 is compiled for NEON.
                #[cfg(target_arch = "aarch64")]
                $crate::kernels::simd::InstructionSet::Neon => body($($argument),*),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: detection found these instructions.
                $crate::kernels::simd::InstructionSet::Avx2 => unsafe { avx2($($argument),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: detection found these instructions.
                $crate::kernels::simd::InstructionSet::Avx512 => unsafe { avx512($($argument),*) },
            }
        }
    };
}
pub(crate) use vectorised;

/// A pointer that parallel tasks write through, each to elements of its own.
#[derive(Clone, Copy)]
pub(crate) struct SharedOutput(*mut f32);

// SAFETY: the pointer is only an address; whoever writes through it promises that no two tasks touch one element.
unsafe impl Send for SharedOutput {}
// SAFETY: as above.
unsafe impl Sync for SharedOutput {}

impl SharedOutput {
    /// Wraps the start of `output`; the caller keeps `output` borrowed for as long as tasks write.
    pub(crate) fn new(output: &mut [f32]) -> Self {
        Self(output.as_mut_ptr())
    }

    /// Wraps the start of memory that may not be initialised; the caller answers for its size.
    pub(crate) fn from_pointer(output: *mut f32) -> Self {
        Self(output)
    }

    /// The address of element `index`, which the caller must know to be inside the slice.
    pub(crate) fn at(self, index: usize) -> *mut f32 {
        self.0.wrapping_add(index)
    }
}
