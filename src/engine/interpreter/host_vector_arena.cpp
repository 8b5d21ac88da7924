#include "engine/interpreter/host_vector_arena.h"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <string>

#include "base/bits.h"
#include "base/check.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace mynah::interpreter {
namespace {

// Arenas that exist, for the signal handler, which can take no lock. One per machine in a process.
struct Range {
    std::atomic<uintptr_t> begin{0}, end{0};
};
constexpr size_t kMaxArenas = 256;
std::array<Range, kMaxArenas> ranges;
struct sigaction previous_action;

void pass_on(int signal, siginfo_t* info, void* context) {
    if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
        previous_action.sa_sigaction(signal, info, context);
    } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
        previous_action.sa_handler(signal);
    } else {
        // Let it happen again, with the default action.
        struct sigaction action {};
        action.sa_handler = SIG_DFL;
        sigaction(signal, &action, nullptr);
    }
}

void on_signal(int signal, siginfo_t* info, void* context) {
    auto& rip = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
    for (const Range& range : ranges) {
        const uintptr_t begin = range.begin.load(std::memory_order_acquire);
        if (static_cast<uintptr_t>(rip) - begin <
                range.end.load(std::memory_order_relaxed) - begin &&
            begin != 0) {
            rip = static_cast<greg_t>(begin);  // on_fault is what an arena starts with
            return;
        }
    }
    pass_on(signal, info, context);
}

void install_handler() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action {};
        action.sa_sigaction = on_signal;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
        sigemptyset(&action.sa_mask);
        CHECK(sigaction(SIGFPE, &action, &previous_action) == 0);
    });
}

bool announce(uintptr_t begin, size_t size) {
    for (Range& range : ranges) {
        uintptr_t expected = 0;
        if (range.end.compare_exchange_strong(expected, begin + size)) {
            range.begin.store(begin, std::memory_order_release);
            return true;
        }
    }
    return false;
}

void withdraw(uintptr_t begin) {
    for (Range& range : ranges) {
        if (range.begin.load() == begin) {
            range.begin.store(0);
            range.end.store(0);
            return;
        }
    }
}

Error host_error(const char* what) {
    return Error(std::string("memory for the vector unit's code: ") + what + ": " +
                 strerror(errno));
}

}  // namespace

Result<std::unique_ptr<StubArena>> StubArena::create(size_t capacity,
                                                     std::span<const uint8_t> on_fault) {
    int fd = memfd_create("mynah-stubs", MFD_CLOEXEC | MFD_EXEC);
    if (fd < 0) fd = memfd_create("mynah-stubs", MFD_CLOEXEC);  // kernels before 6.3
    if (fd < 0) return host_error("memfd_create");
    void* writable = MAP_FAILED;
    void* executable = MAP_FAILED;
    if (ftruncate(fd, static_cast<off_t>(capacity)) == 0) {
        writable = mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        executable = mmap(nullptr, capacity, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    }
    const Error error = host_error("mmap");
    close(fd);
    if (writable == MAP_FAILED || executable == MAP_FAILED) {
        if (writable != MAP_FAILED) munmap(writable, capacity);
        if (executable != MAP_FAILED) munmap(executable, capacity);
        return error;
    }
    std::unique_ptr<StubArena> arena(new StubArena(static_cast<uint8_t*>(writable),
                                                   static_cast<uint8_t*>(executable), capacity));
    CHECK(arena->add(on_fault) != nullptr);
    install_handler();
    if (!announce(reinterpret_cast<uintptr_t>(executable), capacity)) {
        return Error("memory for the vector unit's code: more than 256 machines in one process");
    }
    return arena;
}

StubArena::~StubArena() {
    withdraw(reinterpret_cast<uintptr_t>(executable_));
    munmap(writable_, capacity_);
    munmap(executable_, capacity_);
}

const void* StubArena::add(std::span<const uint8_t> code) {
    if (code.size() > capacity_ - used_) return nullptr;
    std::memcpy(writable_ + used_, code.data(), code.size());
    const void* address = executable_ + used_;
    used_ = align_up(used_ + code.size(), 16);
    return address;
}

}  // namespace mynah::interpreter
