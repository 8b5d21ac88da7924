#include "silicon/host_runner.h"

#include <immintrin.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <ucontext.h>
#include <unistd.h>

#include <asm/prctl.h>
#include <sys/syscall.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "spec/x86/control_registers.h"

namespace mynah::silicon {
namespace {

struct HostFrame {
    uint64_t gpr[16];
    uint64_t rip, rflags;      // 128, 136
    uint64_t unused[2];
    uint64_t cs, ss, ds;       // 160, 168, 176
    uint64_t unused2;
    uint64_t host_rsp;         // 192
    const std::byte* xsave;    // 200
};
static_assert(offsetof(HostFrame, rip) == 128 && offsetof(HostFrame, cs) == 160 &&
              offsetof(HostFrame, ds) == 176 && offsetof(HostFrame, host_rsp) == 192 &&
              offsetof(HostFrame, xsave) == 200);

extern "C" void silicon_enter(HostFrame* frame);
extern "C" void silicon_exit();
extern "C" void silicon_signal(int signal, siginfo_t* info, void* context);

// What the signal handler works with; there is one runner.
struct Running {
    HostFrame frame;
    bool active = false;
    const Case* test = nullptr;  // null: a block, which runs at full speed
    Ending* result = nullptr;
    unsigned repeats = 0;
};
Running running;

std::array<char, 256> crash_note{};
CpuSignals* to_be_kicked = nullptr;

constexpr unsigned kMaxRepeats = 100000;
constexpr int kGregOf[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                             REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                             REG_R12, REG_R13, REG_R14, REG_R15};

// Instructions that take single-step traps before they are complete.
bool repeats(const Case& test) {
    if (test.instruction.info.meta.category == ZYDIS_CATEGORY_AVX2GATHER) return true;
    return test.instruction.has_prefix(ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                                       ZYDIS_ATTRIB_HAS_REPNE);
}

void capture_selectors(Registers& to, uint64_t csgsfs) {
    uint16_t es, ds;
    asm volatile("mov %%es, %0" : "=r"(es));
    asm volatile("mov %%ds, %0" : "=r"(ds));
    to.selectors = {es, static_cast<uint16_t>(csgsfs), static_cast<uint16_t>(csgsfs >> 48), ds,
                    static_cast<uint16_t>(csgsfs >> 32), static_cast<uint16_t>(csgsfs >> 16)};
}

extern "C" void silicon_on_signal(int signal, siginfo_t*, void* context) {
    mcontext_t& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
    if (!running.active) {
        if (signal == SIGVTALRM) {
            if (to_be_kicked != nullptr) to_be_kicked->raise(CpuSignals::kKick);
            return;
        }
        // An engine's fault, or our own.
        static_cast<void>(!write(STDOUT_FILENO, crash_note.data(), std::strlen(crash_note.data())));
        std::signal(signal, SIG_DFL);
        return;
    }
    auto& gregs = machine.gregs;
    const int trap = static_cast<int>(gregs[REG_TRAPNO]);
    constexpr int kDebugTrap = 1, kBreakpoint = 3, kPageFault = 14;
    const bool stepped = running.test != nullptr;
    if (signal == SIGTRAP && trap == kDebugTrap && stepped && repeats(*running.test) &&
        static_cast<uint64_t>(gregs[REG_RIP]) == running.test->address() &&
        ++running.repeats < kMaxRepeats) {
        return;  // between two iterations
    }
    Ending& result = *running.result;
    result.vector = trap;
    if (signal == SIGVTALRM) result.vector = Ending::kLost;
    if (signal == SIGTRAP && (stepped || trap == kBreakpoint)) result.vector = Ending::kCompleted;
    if (signal == SIGTRAP && trap == kBreakpoint) {
        // The landing behind an instruction that delays the debug trap.
        gregs[REG_RIP] -= 1;
    }
    result.error_code = result.vector > 0 ? static_cast<uint32_t>(gregs[REG_ERR]) : 0;
    result.fault_address = result.vector == kPageFault ? static_cast<uint64_t>(gregs[REG_CR2]) : 0;
    Registers& after = result.after;
    for (unsigned i = 0; i < 16; ++i) after.gpr[i] = static_cast<uint64_t>(gregs[kGregOf[i]]);
    after.rip = static_cast<uint64_t>(gregs[REG_RIP]);
    after.rflags = static_cast<uint64_t>(gregs[REG_EFL]);
    after.gs_base = _readgsbase_u64();
    capture_selectors(after, static_cast<uint64_t>(gregs[REG_CSGSFS]));
    std::memcpy(after.xsave.data(), machine.fpregs, kXsaveBytes);

    running.active = false;
    gregs[REG_RIP] = static_cast<greg_t>(reinterpret_cast<uintptr_t>(&silicon_exit));
    gregs[REG_RSP] = static_cast<greg_t>(running.frame.host_rsp);
    gregs[REG_EFL] = 0x202;
    gregs[REG_CSGSFS] =
        static_cast<greg_t>((static_cast<uint64_t>(gregs[REG_CSGSFS]) & 0x0000ffffffff0000) |
                            uint64_t{0x2b} << 48 | 0x33);
    machine.fpregs->cwd = 0x37f;
    machine.fpregs->swd = 0;
    machine.fpregs->ftw = 0;
    machine.fpregs->mxcsr = 0x1f80;
}

void map_at(uint64_t address, uint64_t size, int protection, int fd, off_t offset) {
    void* wanted = reinterpret_cast<void*>(address);
    void* got = mmap(wanted, size, protection, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, offset);
    if (got != wanted) {
        std::perror("mynah-silicon: mapping the test area");
        std::exit(1);
    }
}

void protect(uint64_t address, uint64_t size, int protection) {
    CHECK(mprotect(reinterpret_cast<void*>(address), size, protection) == 0);
}

// A signal after so much processor time; 0: none.
void set_timer(int microseconds) {
    const itimerval value{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = microseconds}};
    CHECK(setitimer(ITIMER_VIRTUAL, &value, nullptr) == 0);
}

// So that faults on these pages say "protection", not "not present".
void touch(uint64_t address, uint64_t size) {
    for (uint64_t at = address; at < address + size; at += 0x1000) {
        static_cast<void>(*reinterpret_cast<volatile char*>(at));
    }
}

bool within(uint64_t at, uint64_t start, uint64_t size) { return at - start < size; }

// How a page of the test areas is mapped usually.
int usual_protection(uint64_t page) {
    if (within(page, kCodeAddress, kCodeBytes)) return PROT_READ | PROT_EXEC;
    if (within(page, kWritableCodeAddress, kCodeBytes)) return PROT_READ | PROT_WRITE | PROT_EXEC;
    const bool data = within(page, kDataAddress, kAliases * kAliasStride);
    if (data && (page - kDataAddress) % kAliasStride >= kDataBytes) return PROT_READ;
    return PROT_READ | PROT_WRITE;
}

// What the host can do to a page that comes nearest to the injection.
int injected_protection(const Injection& injection) {
    const int usual = usual_protection(injection.page);
    switch (injection.kind) {
        case Injection::Kind::kReadOnly: return usual & ~PROT_WRITE;
        case Injection::Kind::kNoExecute: return usual & ~PROT_EXEC;
        case Injection::Kind::kAbsent:
        case Injection::Kind::kSupervisor: return PROT_NONE;
        case Injection::Kind::kNone: break;
    }
    return usual;
}

class HostRunner final : public Runner {
 public:
    HostRunner() {
        const int fd = memfd_create("silicon", MFD_CLOEXEC);
        CHECK(fd >= 0 && ftruncate(fd, kAll) == 0);
        constexpr off_t kDataOffset = kCodeBytes, kScratchOffset = kDataOffset + kMemoryBytes;
        map_at(kCodeAddress, kCodeBytes, usual_protection(kCodeAddress), fd, 0);
        map_at(kWritableCodeAddress, kCodeBytes, usual_protection(kWritableCodeAddress), fd, 0);
        for (uint64_t i = 0; i < kAliases; ++i) {
            const uint64_t data = kDataAddress + i * kAliasStride;
            map_at(data, kDataBytes, PROT_READ | PROT_WRITE, fd, kDataOffset);
            map_at(data + kDataBytes, kReadOnlyBytes, PROT_READ, fd, kDataOffset + kDataBytes);
        }
        map_at(kScratchAddress, kScratchBytes, PROT_READ | PROT_WRITE, fd, kScratchOffset);
        void* alias = mmap(nullptr, kAll, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(alias != MAP_FAILED);
        close(fd);
        code_ = static_cast<std::byte*>(alias);
        memory_ = code_ + kCodeBytes;
        scratch_ = memory_ + kMemoryBytes;
        std::memset(code_, 0xcc, kCodeBytes);
        install_handlers();
        saved_gs_base_ = _readgsbase_u64();
    }

    void run(const Case& test, Ending& result) override {
        prepare_memory(test.memory);
        std::memcpy(code_ + test.code_offset, test.code.data(), test.instruction.length());
        running.test = &test;
        running.repeats = 0;
        enter(test.before, x86::rflags::kTf, result);
        std::memset(code_ + test.code_offset, 0xcc, sizeof test.code);
    }

    void run(const Program& block, const Injection& injection, Pace, Ending& result) override {
        prepare_memory(block.memory);
        std::memcpy(code_ + block.code_offset(), block.code.data(), block.code.size());
        std::memcpy(scratch_, block.scratch.data(), kScratchBytes);
        running.test = nullptr;
        const bool injected = injection.kind != Injection::Kind::kNone;
        if (injected) {
            touch(injection.page, 0x1000);
            protect(injection.page, 0x1000, injected_protection(injection));
        }
        set_timer(kBlockMicroseconds);
        enter(block.before, 0, result);
        set_timer(0);
        if (injected) protect(injection.page, 0x1000, usual_protection(injection.page));
        std::memset(code_ + block.code_offset(), 0xcc, block.code.size());
    }

 private:
    static constexpr uint64_t kAll = kCodeBytes + kMemoryBytes + kScratchBytes;
    // Of processor time: blocks that have not ended by then never will.
    static constexpr int kBlockMicroseconds = 30000;

    void enter(const Registers& before, uint64_t more_flags, Ending& result) {
        HostFrame& frame = running.frame;
        std::memcpy(frame.gpr, before.gpr.data(), sizeof frame.gpr);
        frame.rip = before.rip;
        frame.rflags = before.rflags | more_flags;
        frame.cs = before.selectors[1];
        frame.ss = before.selectors[2];
        frame.ds = before.selectors[3];
        frame.xsave = before.xsave.data();
        running.result = &result;
        running.active = true;
        _writegsbase_u64(before.gs_base);
        silicon_enter(&frame);
        _writegsbase_u64(saved_gs_base_);
        result.after.rflags &= ~x86::rflags::kTf;
        std::memcpy(result.memory.data(), memory_, kMemoryBytes);
    }

    void prepare_memory(const std::vector<Patch>& patches) {
        std::memcpy(memory_, common_memory().data(), kMemoryBytes);
        for (const Patch& patch : patches) {
            std::memcpy(memory_ + (patch.address - kDataAddress), patch.bytes.data(),
                        patch.bytes.size());
        }
        for (uint64_t i = 0; i < kAliases; ++i)
            touch(kReadOnlyAddress + i * kAliasStride, kReadOnlyBytes);
    }

    static void install_handlers() {
        static std::array<std::byte, 65536> stack;
        const stack_t alternate{.ss_sp = stack.data(), .ss_flags = 0, .ss_size = stack.size()};
        CHECK(sigaltstack(&alternate, nullptr) == 0);
        struct sigaction action {};
        action.sa_sigaction = silicon_signal;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigfillset(&action.sa_mask);
        for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGVTALRM}) {
            CHECK(sigaction(signal, &action, nullptr) == 0);
        }
    }

    std::byte* code_ = nullptr;
    std::byte* memory_ = nullptr;
    std::byte* scratch_ = nullptr;
    uint64_t saved_gs_base_ = 0;
};

}  // namespace

std::unique_ptr<Runner> make_host_runner() { return std::make_unique<HostRunner>(); }

KickLater::KickLater(CpuSignals& signals) {
    to_be_kicked = &signals;
    set_timer(900'000);
}
KickLater::~KickLater() {
    set_timer(0);
    to_be_kicked = nullptr;
}

void note_for_crash(const std::string& text) {
    const size_t size = std::min(text.size(), crash_note.size() - 1);
    std::memcpy(crash_note.data(), text.data(), size);
    crash_note[size] = 0;
}

uint64_t host_fs_base() { return _readfsbase_u64(); }

}  // namespace mynah::silicon
