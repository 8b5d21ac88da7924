#include "machine/vcpu_thread.h"

#include <pthread.h>
#include <sched.h>

#include <ctime>
#include <string>

namespace mynah {
namespace {

thread_local std::optional<VcpuIndex> current_vcpu;

uint64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

std::optional<VcpuIndex> VcpuThread::current() { return current_vcpu; }

VcpuThread::VcpuThread(VcpuIndex index, Vcpu& vcpu, CpuSignals& signals,
                       RunControl& control, VcpuEvents& events, IdleLook& idle,
                       std::optional<uint64_t> instruction_limit)
    : index_(index),
      vcpu_(&vcpu),
      signals_(signals),
      control_(control),
      events_(events),
      idle_(idle),
      instruction_limit_(instruction_limit) {
    signals_.set_wake([this] { wake(); });
}

VcpuThread::~VcpuThread() { join(); }

void VcpuThread::prepare(const CpuState& state, Begin begin) {
    vcpu_->state() = state;
    vcpu_->state().waiting_for_startup = begin == Begin::kWaitForStartup;
    vcpu_->state_changed();
    signals_.lower(~uint32_t{0});
    startup_vector_ = kNoStartup;
    answered_inits_ = signals_.inits() - (waiting() ? 1 : 0);
}

void VcpuThread::exchange(Vcpu& vcpu, uint64_t instructions) {
    vcpu_ = &vcpu;
    earlier_instructions_ = instructions;
    // An engine with local APICs of its own did not say what it answered.
    if (waiting()) answered_inits_ = signals_.inits() - 1;
}

void VcpuThread::start() {
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), ("vcpu" + std::to_string(index_.value)).c_str());
}

void VcpuThread::join() {
    if (thread_.joinable()) thread_.join();
}

void VcpuThread::run() {
    current_vcpu = index_;
    host_thread_ = gettid();
    while (control_.proceed()) {
        if (!vcpu_->has_apic()) {
            // Both take the kicks that come meanwhile: what those were for is looked at before it runs.
            if (waiting()) {
                take_startup();
                continue;
            }
            if (vcpu_->state().halted) {
                end_halt();
                continue;
            }
        }
        if (!step()) {
            events_.vcpu_shut_down(index_);
            // Nothing runs after a shutdown but what INIT or reset would begin.
            sleep(CpuSignals::kKick | CpuSignals::kInit);
        }
    }
}

bool VcpuThread::step() {
    uint64_t limit = ~uint64_t{0};
    if (instruction_limit_) {
        const uint64_t done = earlier_instructions_ + vcpu_->statistics().instructions;
        limit = done < *instruction_limit_ ? *instruction_limit_ - done : 0;
        if (limit == 0) {
            control_.request_stop(StopReason::kInstructionLimit);
            return true;
        }
    }
    events_.vcpu_resumes(index_);
    const VcpuExit exit = vcpu_->run(limit);
    events_.vcpu_paused(index_);
    switch (exit) {
        case VcpuExit::kHalted: vcpu_->state().halted = true; return true;
        case VcpuExit::kKicked: return true;
        case VcpuExit::kInit: take_init(); return true;
        case VcpuExit::kShutdown: return false;
        case VcpuExit::kInstructionLimit:
            if (instruction_limit_) control_.request_stop(StopReason::kInstructionLimit);
            return true;
        case VcpuExit::kEngineError:
            control_.request_stop(StopReason::kHostError);
            return true;
    }
    return true;
}

// What a halted processor wakes up for [SDM 2A HLT]; a masked interrupt stays pending and must not
// keep the thread busy.
uint32_t VcpuThread::signals_that_end_halt() const {
    uint32_t signals =
        CpuSignals::kInit | CpuSignals::kKick | CpuSignals::kSmi | CpuSignals::kUnhalt;
    const CpuState& state = vcpu_->state();
    if (state.flags.has(x86::rflags::kIf)) signals |= CpuSignals::kInterrupt;
    if (!state.nmi_blocked) signals |= CpuSignals::kNmi;
    return signals;
}

// Sleeps until the halt ends or RunControl wants something. A kick is no event of the processor's: it
// stays halted.
void VcpuThread::end_halt() {
    const uint32_t signals = signals_that_end_halt();
    sleep(signals);
    signals_.lower(CpuSignals::kKick);
    if ((signals_.pending() & signals & ~uint32_t{CpuSignals::kKick}) == 0) {
        events_.vcpu_paused(index_);  // whoever kicked may want to see where it is
        return;
    }
    signals_.lower(CpuSignals::kUnhalt);
    vcpu_->state().halted = false;
}

void VcpuThread::take_init() {
    events_.vcpu_init(index_);
    reset_by_init(vcpu_->state());
    vcpu_->state().waiting_for_startup = true;
    vcpu_->state_changed();
}

// Waits for a start-up IPI or for whatever RunControl wants.
void VcpuThread::take_startup() {
    sleep(CpuSignals::kKick | CpuSignals::kInit);
    signals_.lower(CpuSignals::kKick);
    if ((signals_.pending() & CpuSignals::kInit) != 0) {
        signals_.lower(CpuSignals::kInit);
        take_init();
    }
    const uint32_t vector = startup_vector_.exchange(kNoStartup);
    if (vector == kNoStartup) return;

    // [SDM 3A 8.4.4.1]: real mode at vector:0000.
    constexpr unsigned kSelectorShift = 8, kBaseShift = 12;
    CpuState& state = vcpu_->state();
    SegmentRegister& cs = state.segment(x86::Segment::kCs);
    cs.selector = static_cast<uint16_t>(vector << kSelectorShift);
    cs.base = uint64_t{vector} << kBaseShift;
    state.rip = 0;
    state.waiting_for_startup = false;
    vcpu_->state_changed();
}

void VcpuThread::startup(uint8_t vector) {
    const uint32_t inits = signals_.inits();
    if (answered_inits_.exchange(inits) == inits) return;
    startup_vector_ = vector;
    wake();
}

bool VcpuThread::must_wake(uint32_t wake_signals) const {
    return (signals_.pending() & wake_signals) != 0 ||
           (startup_vector_.load() != kNoStartup && waiting());
}

// Before sleeping. Gives the host's processor to whoever wants it between two looks.
bool VcpuThread::look_about(uint32_t wake_signals, uint64_t began_ns) {
    const uint64_t until = began_ns + halt_poll_.window();
    while (now_ns() < until) {
        idle_.look();
        if (must_wake(wake_signals)) return true;
        sched_yield();
    }
    return false;
}

void VcpuThread::sleep(uint32_t wake_signals) {
    if (must_wake(wake_signals)) return;
    const uint64_t began = now_ns();
    if (halt_poll_.window() != 0 && look_about(wake_signals, began)) return;
    {
        MutexLock lock(mutex_);
        // Pairs with wake(): either it sees that we sleep, or we see its signal.
        asleep_.store(true, std::memory_order_seq_cst);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        while (!must_wake(wake_signals)) woken_.wait(mutex_);
        asleep_.store(false, std::memory_order_seq_cst);
    }
    halt_poll_.slept(now_ns() - began);
}

void VcpuThread::wake() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!asleep_.load(std::memory_order_seq_cst)) return;
    MutexLock lock(mutex_);
    woken_.notify_one();
}

}  // namespace mynah
