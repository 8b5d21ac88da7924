#include <sys/mman.h>

#include "engine/interpreter/operand.h"

namespace mynah::interpreter {

LockedOperandBase::LockedOperandBase(Core& core, uint64_t linear, unsigned size)
    : core_(core), linear_(linear), size_(size) {
    bool fault = false;
    data_ = core.host_for_modify(linear, size, fault);
    if (data_ == nullptr && !fault) prepare_split();
}

void LockedOperandBase::prepare_split() NO_THREAD_SAFETY_ANALYSIS {
    Core::Piece pieces[2];
    unsigned first = 0;
    if (!core_.resolve_range(linear_, size_, AccessKind::kWrite, core_.access_mode_, pieces, first))
        return;

    if (first < size_ && pieces[0].host != nullptr && pieces[1].host != nullptr) {
        const GuestMemory& memory = core_.shared.memory;
        void* window = mmap(nullptr, 2 * kPageSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (window != MAP_FAILED) {
            bool mapped = true;
            for (unsigned i = 0; i < 2; ++i) {
                const std::byte* page = pieces[i].host - (pieces[i].physical.value & kPageMask);
                const GuestMemory::FilePlace place = memory.file_place(page);
                mapped &= mmap(static_cast<std::byte*>(window) + i * kPageSize, kPageSize,
                               PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, place.fd,
                               static_cast<off_t>(place.offset)) != MAP_FAILED;
            }
            if (mapped) {
                core_.note_code_write(reinterpret_cast<uintptr_t>(pieces[0].host), first);
                core_.note_code_write(reinterpret_cast<uintptr_t>(pieces[1].host), size_ - first);
                window_ = window;
                data_ = static_cast<std::byte*>(window) + (linear_ & kPageMask);
                return;
            }
            munmap(window, 2 * kPageSize);
        }
    }
    core_.shared.split_lock.lock();
    copied_ = true;
    core_.load_bytes(linear_, copy_, size_);
    data_ = copy_;
}

LockedOperandBase::~LockedOperandBase() NO_THREAD_SAFETY_ANALYSIS {
    if (window_ != nullptr) munmap(window_, 2 * kPageSize);
    if (!copied_) return;
    core_.store_bytes(linear_, copy_, size_);
    core_.shared.split_lock.unlock();
}

}  // namespace mynah::interpreter
