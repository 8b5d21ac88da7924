#include "engine/kvm/kvm_vcpu.h"


#include <fmt/core.h>
#include <signal.h>

#include <cerrno>
#include <cstring>
#include <mutex>

#include "base/log.h"
#include "cpu/msr_table.h"
#include "host/tsc.h"
#include "spec/x86/msr.h"

namespace mynah::kvm {
namespace {

// Ends KVM_RUN; does nothing else.
int kick_signal() { return SIGRTMIN + 1; }

void install_kick_handler() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action {};
        action.sa_handler = [](int) {};
        sigaction(kick_signal(), &action, nullptr);
    });
}

constexpr const char* kExitNames[] = {"unknown",   "exception", "io",       "hypercall", "debug",
                                      "hlt",       "mmio",      "window",   "shutdown",  "fail_entry",
                                      "intr",      "set_tpr",   "tpr",      "",          "",
                                      "dcr",       "nmi",       "internal", "osi",       "papr",
                                      "ucontrol",  "watchdog",  "s390",     "epr",       "event",
                                      "stsi",      "eoi",       "hyperv",   "arm",       "rdmsr",
                                      "wrmsr",     "other"};

}  // namespace

KvmVcpu::KvmVcpu(KvmMachine& machine, CpuPorts& ports, CpuSignals& signals, VcpuIndex index)
    : machine_(machine),
      ports_(ports),
      signals_(signals),
      vcpu_(machine.seat(index).vcpu),
      run_(machine.seat(index).run),
      registers_(machine.seat(index).registers),
      has_apic_(machine.interrupts() != nullptr),
      state_(reset_state()) {
    registers_.has_activity = has_apic_;
    install_kick_handler();
    signals_.set_gate(gate_, 1, [this] { interrupt(); });
}

KvmVcpu::~KvmVcpu() { signals_.clear_gate(); }

// From any thread. KVM_RUN looks at the flag when it begins; if it has begun, the signal ends it.
void KvmVcpu::interrupt() {
    __atomic_store_n(&run_->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (!inside_.load(std::memory_order_seq_cst)) return;
    const pthread_t thread = thread_.load();
    if (!pthread_equal(thread, pthread_self())) pthread_kill(thread, kick_signal());
}

CpuState& KvmVcpu::state() {
    if (stale_ && !changed_) {
        const auto done = pull(vcpu_, machine_.memory(), registers_, state_);
        if (!done) log(LogLevel::kError, "kvm: {}", done.error().message());
        stale_ = false;
    }
    return state_;
}

VcpuStatistics KvmVcpu::statistics() const {
    VcpuStatistics statistics;
    statistics.all_counted = false;
    statistics.interrupts = interrupts_;
    for (size_t i = 0; i < exits_.size(); ++i) {
        if (exits_[i] != 0) statistics.counters[fmt::format("exits: {}", kExitNames[i])] = exits_[i];
    }
    return statistics;
}

VcpuExit KvmVcpu::fail(const std::string& why) {
    log(LogLevel::kError, "kvm: {}", why);
    return VcpuExit::kEngineError;
}

// What is fetched is what KVM has of the guest: the same that it put into the VMCS or VMCB.
VcpuExit KvmVcpu::fail_by_exit() {
    const auto lines = describe_failure(*run_, state(), machine_.cpuid().physical_bits());
    for (const std::string& line : lines) fail(line);
    return VcpuExit::kEngineError;
}

// --- The time stamp: an offset from the host's, which KVM is told exactly if it can be.

uint64_t KvmVcpu::guest_tsc() const { return read_host_tsc() + state_.tsc_offset; }

void KvmVcpu::push_tsc() {
    if (tsc_known_ && tsc_offset_ == state_.tsc_offset) return;
    tsc_known_ = true;
    tsc_offset_ = state_.tsc_offset;
    uint64_t offset = tsc_offset_;
    // The kernel's timer was told a time of the TSC as it was.
    uint64_t deadline = 0;
    if (has_apic_) (void)get_msr(vcpu_, x86::msr::kTscDeadline, deadline);
    kvm_device_attr attribute{};
    attribute.group = KVM_VCPU_TSC_CTRL;
    attribute.attr = KVM_VCPU_TSC_OFFSET;
    attribute.addr = reinterpret_cast<uintptr_t>(&offset);
    if (vcpu_.ask(KVM_SET_DEVICE_ATTR, &attribute) < 0)
        (void)set_msr(vcpu_, x86::msr::kTsc, guest_tsc());
    if (deadline != 0) (void)set_msr(vcpu_, x86::msr::kTscDeadline, deadline);
}

// --- Running.

VcpuExit KvmVcpu::run(uint64_t) {
    thread_.store(pthread_self());
    if (!has_apic_) state_.halted = false;
    if (!broken_.empty()) return fail(broken_);
    while (true) {
        // Cleared before the signals are looked at: who raises one later sets it again.
        __atomic_store_n(&run_->immediate_exit, 0, __ATOMIC_SEQ_CST);
        gate_.store(0, std::memory_order_seq_cst);
        (void)signals_.take_alarm();
        if (const auto exit = attend()) return *exit;
        if (const auto exit = enter()) return *exit;
    }
}

// State is whole again only after KVM has completed an access that was answered, at its next entry;
// of an access that KVM cuts into pieces there is one after the other.
std::optional<VcpuExit> KvmVcpu::complete() {
    while (completes_) {
        __atomic_store_n(&run_->immediate_exit, 1, __ATOMIC_SEQ_CST);
        if (const auto exit = enter()) return *exit;
    }
    return std::nullopt;
}

// What others want of the processor.
std::optional<VcpuExit> KvmVcpu::attend() {
    const uint32_t pending = signals_.pending();
    if (map_changed_ || (pending & CpuSignals::kMemoryMap) != 0) {
        map_changed_ = false;
        signals_.lower(CpuSignals::kMemoryMap);
        const auto followed = machine_.follow_memory();
        if (!followed) return fail(followed.error().message());
    }
    if ((pending & (CpuSignals::kInit | CpuSignals::kKick)) != 0) {
        if (const auto exit = complete()) return *exit;
    }
    if ((pending & CpuSignals::kInit) != 0) {
        signals_.lower(CpuSignals::kInit);
        return VcpuExit::kInit;
    }
    if ((pending & CpuSignals::kKick) != 0) {
        signals_.lower(CpuSignals::kKick);
        return VcpuExit::kKicked;
    }
    if ((pending & CpuSignals::kSmi) != 0) {
        signals_.lower(CpuSignals::kSmi);
        if (vcpu_.ask(KVM_SMI, uintptr_t{0}) < 0) {
            log(LogLevel::kWarning, "kvm: a system management interrupt was lost: KVM has none");
        }
    }
    if ((pending & CpuSignals::kNmi) != 0) {
        signals_.lower(CpuSignals::kNmi);
        (void)vcpu_.ask(KVM_NMI, uintptr_t{0});
    }
    return std::nullopt;
}

// An interrupt goes in when the guest takes it; until then KVM says when that is.
void KvmVcpu::inject() {
    run_->request_interrupt_window = 0;
    if ((signals_.pending() & CpuSignals::kInterrupt) == 0) return;
    // An access that is still to be completed may raise an exception (a register that is not there),
    // and for that KVM forgets an interrupt which it was handed before.
    if (completes_ || run_->ready_for_interrupt_injection == 0) {
        run_->request_interrupt_window = 1;
        return;
    }
    const auto vector = ports_.acknowledge_interrupt();
    if (!vector) return;
    kvm_interrupt interrupt{.irq = *vector};
    external_ = *vector;
    if (vcpu_.ask(KVM_INTERRUPT, &interrupt) < 0)
        log(LogLevel::kError, "kvm: interrupt {:#x} was not taken", *vector);
    ++interrupts_;
    // There may be another one behind it.
    if ((signals_.pending() & CpuSignals::kInterrupt) != 0) run_->request_interrupt_window = 1;
}

Result<void> KvmVcpu::push_state() {
    TRY(push(vcpu_, registers_, state_));
    changed_ = false;
    stale_ = false;
    // As KVM would say it; it says so itself from the first exit on. Whether the kernel's local APIC
    // passes an external interrupt only it can say.
    run_->ready_for_interrupt_injection =
        !has_apic_ && state_.flags.has(x86::rflags::kIf) && !state_.interrupt_shadow;
    return {};
}

std::optional<VcpuExit> KvmVcpu::enter() {
    if (changed_) {
        const auto done = push_state();
        if (!done) return fail(done.error().message());
    }
    push_tsc();
    inject();
    if (!has_apic_) run_->cr8 = ports_.read_cr8();
    const uint64_t cr8 = run_->cr8;
    inside_.store(true, std::memory_order_seq_cst);
    const int result = vcpu_.ask(KVM_RUN, uintptr_t{0});
    inside_.store(false, std::memory_order_seq_cst);
    stale_ = true;
    completes_ = false;
    if (!has_apic_ && run_->cr8 != cr8) ports_.write_cr8(static_cast<uint8_t>(run_->cr8));
    if (result == -EINTR || result == -EAGAIN) {
        ++exits_[KVM_EXIT_INTR];
        return std::nullopt;
    }
    if (result < 0) return fail(fmt::format("KVM_RUN: {}", std::strerror(-result)));
    return handle_exit();
}

std::optional<VcpuExit> KvmVcpu::handle_exit() {
    ++exits_[std::min<size_t>(run_->exit_reason, exits_.size() - 1)];
    switch (run_->exit_reason) {
        case KVM_EXIT_IO: handle_io(); return std::nullopt;
        case KVM_EXIT_MMIO: handle_mmio(); return std::nullopt;
        case KVM_EXIT_X86_RDMSR: handle_msr(false); return std::nullopt;
        case KVM_EXIT_X86_WRMSR: handle_msr(true); return std::nullopt;
        case KVM_EXIT_HLT:
            state().halted = true;
            return VcpuExit::kHalted;
        case KVM_EXIT_IOAPIC_EOI: ports_.end_of_interrupt(run_->eoi.vector); return std::nullopt;
        case KVM_EXIT_INTR:
        case KVM_EXIT_IRQ_WINDOW_OPEN:
        case KVM_EXIT_SET_TPR: return std::nullopt;
        case KVM_EXIT_SHUTDOWN: return VcpuExit::kShutdown;
        case KVM_EXIT_SYSTEM_EVENT:
            return fail(fmt::format("system event {}", run_->system_event.type));
        case KVM_EXIT_FAIL_ENTRY:
        case KVM_EXIT_INTERNAL_ERROR: return fail_by_exit();
        default: return fail(fmt::format("exit {} is not expected", run_->exit_reason));
    }
}

void KvmVcpu::handle_io() {
    const auto& io = run_->io;
    auto* data = reinterpret_cast<std::byte*>(run_) + io.data_offset;
    completes_ = true;
    if (io.size > 4 || io.data_offset + uint64_t{io.size} * io.count > machine_.run_bytes()) return;
    for (uint32_t i = 0; i < io.count; ++i, data += io.size) {
        uint32_t value = 0;
        if (io.direction == KVM_EXIT_IO_OUT) {
            std::memcpy(&value, data, io.size);
            ports_.io_write(IoPort(io.port), io.size, value);
        } else {
            value = ports_.io_read(IoPort(io.port), io.size);
            std::memcpy(data, &value, io.size);
        }
    }
}

void KvmVcpu::handle_mmio() {
    auto& mmio = run_->mmio;
    completes_ = true;
    uint64_t value = 0;
    const unsigned size = std::min<unsigned>(mmio.len, sizeof mmio.data);
    // Of what is no power of two (a cut of an unaligned access) each byte goes alone.
    const unsigned unit = size == 1 || size == 2 || size == 4 || size == 8 ? size : 1;
    for (unsigned at = 0; at < size; at += unit) {
        const GuestPhys address(mmio.phys_addr + at);
        if (mmio.is_write != 0) {
            value = 0;
            std::memcpy(&value, mmio.data + at, unit);
            ports_.mmio_write(address, unit, value);
        } else {
            value = ports_.mmio_read(address, unit);
            std::memcpy(mmio.data + at, &value, unit);
        }
    }
}

// A register that KVM does not keep: as on the other engines. The state may be old; what these
// registers look at in it (paging, EFER) is fetched.
void KvmVcpu::handle_msr(bool write) {
    completes_ = true;
    CpuState& now = state();
    const uint64_t offset = now.tsc_offset;
    const MsrContext context{.state = now, .policy = machine_.cpuid(), .ports = ports_,
                             .tsc = guest_tsc()};
    run_->msr.error = 0;
    if (write) {
        run_->msr.error = write_msr(context, run_->msr.index, run_->msr.data) ? 0 : 1;
        if (now.tsc_offset != offset) tsc_known_ = false;
    } else if (const auto value = read_msr(context, run_->msr.index)) {
        run_->msr.data = *value;
    } else {
        run_->msr.error = 1;
    }
}

}  // namespace mynah::kvm
