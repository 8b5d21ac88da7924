#include <fcntl.h>
#include <fmt/core.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "engine/kvm_probe/engine_speed.h"
#include "engine/kvm_probe/entry_failure.h"
#include "engine/kvm_probe/probe_guest.h"
#include "host/thread_clock.h"
#include "spec/x86/control_registers.h"

namespace mynah {
namespace {

// What the timer's handler writes to: a signal that comes before KVM_RUN must end it, too.
thread_local std::atomic<uint8_t>* immediate_exit = nullptr;

void end_run(int) {
    if (std::atomic<uint8_t>* const exit = immediate_exit; exit != nullptr) *exit = 1;
}

// A signal to this thread after a while, by which KVM_RUN returns.
class RunTimer {
  public:
    RunTimer(uint8_t* exit, std::chrono::milliseconds limit) {
        immediate_exit = reinterpret_cast<std::atomic<uint8_t>*>(exit);
        struct sigaction action {};
        action.sa_handler = end_run;  // without SA_RESTART
        sigaction(SIGALRM, &action, &before_);
        sigset_t alarm;
        sigemptyset(&alarm);
        sigaddset(&alarm, SIGALRM);
        pthread_sigmask(SIG_UNBLOCK, &alarm, &mask_before_);
        sigevent event{};
        event.sigev_notify = SIGEV_THREAD_ID;
        event.sigev_signo = SIGALRM;
        event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
        armed_ = timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
        if (!armed_) return;
        const auto ns = std::chrono::nanoseconds(limit).count();
        itimerspec when{};
        when.it_value = {ns / 1'000'000'000, ns % 1'000'000'000};
        // Again and again: one that ends some other call of KVM's is not the last.
        when.it_interval = {0, 1'000'000};
        armed_ = timer_settime(timer_, 0, &when, nullptr) == 0;
    }
    ~RunTimer() {
        if (armed_) timer_delete(timer_);
        immediate_exit = nullptr;
        pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
        sigaction(SIGALRM, &before_, nullptr);
    }
    RunTimer(const RunTimer&) = delete;
    RunTimer& operator=(const RunTimer&) = delete;
    bool armed() const { return armed_; }

  private:
    struct sigaction before_ {};
    sigset_t mask_before_{};
    timer_t timer_{};
    bool armed_ = false;
};

// A machine that is made, run once and thrown away.
class ThrowAway {
  public:
    explicit ThrowAway(SystemCalls& calls) : calls_(calls) {}
    ~ThrowAway() {
        if (run_ != nullptr) calls_.munmap(run_, run_bytes_);
        for (const int fd : {vcpu_, machine_, device_}) {
            if (fd >= 0) calls_.close(fd);
        }
        if (memory_ != MAP_FAILED) ::munmap(memory_, ProbeGuest::kMemory);
    }
    ThrowAway(const ThrowAway&) = delete;
    ThrowAway& operator=(const ThrowAway&) = delete;

    Result<void> make();
    Result<void> set_registers();
    // Instructions that were run.
    Result<uint64_t> run(std::chrono::milliseconds limit);

  private:
    Result<int> ask(const char* name, int fd, unsigned long request, uintptr_t argument) {
        const int result = calls_.ioctl(fd, request, argument);
        if (result < 0) return Error(fmt::format("{}: {}", name, std::strerror(-result)));
        return result;
    }
    Result<int> ask(const char* name, int fd, unsigned long request, void* argument) {
        return ask(name, fd, request, reinterpret_cast<uintptr_t>(argument));
    }
    Error strange_exit() const;

    SystemCalls& calls_;
    int device_ = -1, machine_ = -1, vcpu_ = -1;
    void* memory_ = MAP_FAILED;
    size_t run_bytes_ = 0;
    kvm_run* run_ = nullptr;
};

Result<void> ThrowAway::make() {
    device_ = calls_.open("/dev/kvm", O_RDWR);
    if (device_ < 0) return Error(fmt::format("/dev/kvm: {}", std::strerror(-device_)));
    machine_ = TRY(ask("KVM_CREATE_VM", device_, KVM_CREATE_VM, uintptr_t{0}));
    memory_ = ::mmap(nullptr, ProbeGuest::kMemory, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) return Error(fmt::format("memory: {}", std::strerror(errno)));
    const auto image = ProbeGuest::image();
    std::memcpy(memory_, image.data(), image.size());
    kvm_userspace_memory_region region{.slot = 0,
                                       .flags = 0,
                                       .guest_phys_addr = 0,
                                       .memory_size = ProbeGuest::kMemory,
                                       .userspace_addr = reinterpret_cast<uint64_t>(memory_)};
    TRY(ask("KVM_SET_USER_MEMORY_REGION", machine_, KVM_SET_USER_MEMORY_REGION, &region));
    vcpu_ = TRY(ask("KVM_CREATE_VCPU", machine_, KVM_CREATE_VCPU, uintptr_t{0}));
    const int bytes =
        TRY(ask("KVM_GET_VCPU_MMAP_SIZE", device_, KVM_GET_VCPU_MMAP_SIZE, uintptr_t{0}));
    if (static_cast<size_t>(bytes) < sizeof(kvm_run))
        return Error("KVM_GET_VCPU_MMAP_SIZE: less than a kvm_run");
    int error = 0;
    run_bytes_ = static_cast<size_t>(bytes);
    run_ = static_cast<kvm_run*>(
        calls_.mmap(run_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_, 0, error));
    if (run_ == nullptr) return Error(fmt::format("mmap of kvm_run: {}", std::strerror(-error)));
    return {};
}

Result<void> ThrowAway::set_registers() {
    kvm_sregs special{};
    TRY(ask("KVM_GET_SREGS", vcpu_, KVM_GET_SREGS, &special));
    // Segments of 64-bit mode [SDM 3A 5.2.1].
    kvm_segment code{};
    code.limit = 0xffffffff;
    code.selector = 8;
    code.type = 11;  // code, read, accessed
    code.present = code.s = code.l = code.g = 1;
    kvm_segment data = code;
    data.selector = 16;
    data.type = 3;  // data, write, accessed
    data.l = 0;
    data.db = 1;
    special.cs = code;
    special.ds = special.es = special.fs = special.gs = special.ss = data;
    special.cr3 = ProbeGuest::kTables;
    special.cr4 = x86::cr4::kPae;
    special.cr0 = x86::cr0::kPe | x86::cr0::kPg | x86::cr0::kEt | x86::cr0::kNe | x86::cr0::kWp;
    special.efer = x86::efer::kLme | x86::efer::kLma;
    TRY(ask("KVM_SET_SREGS", vcpu_, KVM_SET_SREGS, &special));
    kvm_regs general{};
    general.rip = ProbeGuest::kCode;
    general.rbx = ProbeGuest::kData;
    general.rcx = ProbeGuest::kCount;
    general.rflags = x86::rflags::kOne;
    TRY(ask("KVM_SET_REGS", vcpu_, KVM_SET_REGS, &general));
    return {};
}

Error ThrowAway::strange_exit() const {
    switch (run_->exit_reason) {
        case KVM_EXIT_FAIL_ENTRY:
            return Error("KVM_RUN: " + explain_entry_failure(
                                           run_->fail_entry.hardware_entry_failure_reason));
        case KVM_EXIT_INTERNAL_ERROR:
            return Error("KVM_RUN: " + explain_internal_error(run_->internal.suberror));
        case KVM_EXIT_SHUTDOWN:
            return Error("KVM_RUN: a loop of four instructions ended in a triple fault");
        default:
            return Error(fmt::format("KVM_RUN: unexpected exit {}", run_->exit_reason));
    }
}

Result<uint64_t> ThrowAway::run(std::chrono::milliseconds limit) {
    const RunTimer timer(&run_->immediate_exit, limit);
    // Without it nothing would end the loop.
    if (!timer.armed()) return Error(fmt::format("timer_create: {}", std::strerror(errno)));
    const int result = calls_.ioctl(vcpu_, KVM_RUN, uintptr_t{0});
    if (result < 0 && result != -EINTR)
        return Error(fmt::format("KVM_RUN: {}", std::strerror(-result)));
    if (result == 0 && run_->exit_reason != KVM_EXIT_INTR) return strange_exit();
    kvm_regs general{};
    TRY(ask("KVM_GET_REGS", vcpu_, KVM_GET_REGS, &general));
    if (general.rcx > ProbeGuest::kCount || general.rip < ProbeGuest::kCode ||
        general.rip >= ProbeGuest::kData)
        return Error("KVM_RUN: the guest is not where it can be");
    return ProbeGuest::turns(general.rcx) * ProbeGuest::kInstructions;
}

}  // namespace

Result<double> kvm_speed(SystemCalls& calls, std::chrono::milliseconds limit,
                         const std::function<uint64_t()>& now_ns) {
    const auto now = [&] { return now_ns ? now_ns() : thread_now_ns(); };
    ThrowAway guest(calls);
    TRY(guest.make());
    TRY(guest.set_registers());
    const uint64_t began = now();
    const uint64_t instructions = TRY(guest.run(limit));
    const uint64_t took = std::max<uint64_t>(now() - began, 1);
    return static_cast<double>(instructions) * 1e9 / static_cast<double>(took);
}

}  // namespace mynah
