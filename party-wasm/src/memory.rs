//! Replaces `std`: an allocator, the component model's allocation entry, and an end for panics.
//!
//! The engine goes without `std` because `std` imports files, clock and environment on this target.

use alloc::alloc::{Layout, alloc, handle_alloc_error, realloc};

// `memcmp` and its like, which the compiler calls: plain functions of the target's C library that import nothing.
#[link(name = "c")]
unsafe extern "C" {}

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// `cabi_realloc` of the component model's canonical ABI: the host calls it to place arguments.
///
/// # Safety
/// Called by the host's lifting code only, with a layout that it got from here.
#[unsafe(no_mangle)]
unsafe extern "C" fn cabi_realloc(old: *mut u8, old_len: usize, align: usize, new_len: usize) -> *mut u8 {
    if new_len == 0 {
        return align as *mut u8;
    }
    // Safety: the canonical ABI passes power-of-two alignments and the length that `old` was made with.
    unsafe {
        let layout = Layout::from_size_align_unchecked(new_len, align);
        let ptr = match old_len {
            0 => alloc(layout),
            _ => realloc(old, Layout::from_size_align_unchecked(old_len, align), new_len),
        };
        if ptr.is_null() {
            handle_alloc_error(layout)
        }
        ptr
    }
}

/// A panic is a trap: the host sees it as such and ends the session.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
