#include "memory/fault_guard.h"

#include <signal.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "memory/address.h"

namespace mynah {
namespace {

struct Guarded {
    std::atomic<uintptr_t> base{0};  // 0: free
    std::atomic<uintptr_t> end{0};
};
// Read by a signal handler: no lock, no allocation.
std::array<Guarded, 16> guarded;

bool is_guarded(uintptr_t address) {
    for (const Guarded& range : guarded) {
        if (range.base != 0 && address >= range.base && address < range.end) return true;
    }
    return false;
}

void on_bus_error(int number, siginfo_t* info, void*) {
    const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
    if (is_guarded(address)) {
        void* const page = reinterpret_cast<void*>(address & ~uintptr_t{kPageSize - 1});
        if (mmap(page, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                 -1, 0) != MAP_FAILED) {
            return;
        }
    }
    signal(number, SIG_DFL);  // the instruction runs again, and ends the process
}

}  // namespace

void survive_shrinking_memory() {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGBUS, &action, nullptr);
}

void guard_mapping(const void* base, unsigned long size) {
    for (Guarded& range : guarded) {
        uintptr_t free = 0;
        // Claimed with an empty range, which nothing lies in.
        if (!range.base.compare_exchange_strong(free, reinterpret_cast<uintptr_t>(base))) continue;
        range.end = reinterpret_cast<uintptr_t>(base) + size;
        return;
    }
}

void unguard_mapping(const void* base) {
    for (Guarded& range : guarded) {
        if (range.base != reinterpret_cast<uintptr_t>(base)) continue;
        range.end = 0;
        range.base = 0;
        return;
    }
}

}  // namespace mynah
