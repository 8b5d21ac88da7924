#include "machine/processor.h"

#include "host/tsc.h"

namespace mynah {
namespace {

// When the guest's TSC will be at `guest_tsc`. The counters are compared at the moment of asking,
// so that what host TSC and host clock drift apart by cannot add up.
uint64_t clock_ns_at(uint64_t guest_tsc, uint64_t tsc_offset, uint64_t tsc_hz,
                     const VmClock& clock) {
    const uint64_t now_ns = clock.now_ns();
    const uint64_t ticks = guest_tsc - (read_host_tsc() + tsc_offset);
    if (static_cast<int64_t>(ticks) <= 0) return 0;
    constexpr uint64_t kNsPerSecond = 1'000'000'000;
    using Wide = unsigned __int128;
    const Wide ns = (Wide{ticks} * kNsPerSecond + tsc_hz - 1) / tsc_hz + now_ns;
    return ns > ~uint64_t{0} ? ~uint64_t{0} : static_cast<uint64_t>(ns);
}

}  // namespace

Processor::Processor(const ProcessorContext& context, VcpuIndex index)
    : index_(index),
      kvm_(context.kvm == nullptr ? nullptr : &context.kvm->vcpu(index)),
      ports_(context.ports, context.memory_space, context.apic_bus),
      vcpu_(context.engine.create_vcpu(ports_, signals_, index)),
      apic_(apic_config(context, index), signals_, context.apic_bus, context.clock),
      thread_(index, *vcpu_, signals_, context.control, context.events, context.idle,
              context.instruction_limit) {
    ports_.connect(apic_);
    if (kvm_ == nullptr) return;
    ports_.connect(*kvm_);
    apic_.connect(kvm_->silent_eoi());
}

LocalApic::Config Processor::apic_config(const ProcessorContext& context, VcpuIndex index) {
    LocalApic::Config config;
    config.vcpu = index;
    config.apic_id = context.cpuid.apic_id(index.value);
    config.bootstrap = index.value == 0;
    config.timer_hz = context.cpuid.apic_timer_hz();
    config.physical_bits = context.cpuid.physical_bits();
    config.has_x2apic = context.cpuid.has("x2apic");
    config.has_tsc_deadline = context.cpuid.has("tsc-deadline");
    config.external = &context.external_interrupts;
    config.clock_ns_at_tsc = [this, hz = context.tsc_hz,
                              &clock = context.clock](uint64_t guest_tsc) {
        return clock_ns_at(guest_tsc, vcpu_->state().tsc_offset, hz, clock);
    };
    return config;
}

void Processor::reset(const CpuState& state, VcpuThread::Begin begin) {
    apic_.reset();
    tsc_offset_seen_ = state.tsc_offset;
    thread_.prepare(state, begin);
    if (begin == VcpuThread::Begin::kRunning) apic_.enter_virtual_wire_mode();
    vcpu_->apic_changed();
}

void Processor::leave_engine() {
    vcpu_->leave();
    between_engines_ = vcpu_->state();
    earlier_ += vcpu_->statistics();
    vcpu_.reset();
}

void Processor::enter_engine(Engine& engine) {
    vcpu_ = engine.create_vcpu(ports_, signals_, index_);
    vcpu_->state() = between_engines_;
    vcpu_->state_changed();
    vcpu_->apic_changed();
    // What was raised while there was no gate is to be looked at.
    signals_.alarm();
    thread_.exchange(*vcpu_, earlier_.instructions);
}

VcpuStatistics Processor::statistics() const {
    VcpuStatistics all = earlier_;
    if (vcpu_) all += vcpu_->statistics();
    return all;
}

void Processor::resumes() {
    if (kvm_ != nullptr) kvm_->enter();
}

void Processor::paused() {
    apic_.settle();
    if (kvm_ != nullptr) kvm_->leave();
    note_tsc();
}

void Processor::init() {
    apic_.init();
    if (kvm_ != nullptr) kvm_->init();
    vcpu_->apic_changed();
}

// The guest may have written its TSC: the APIC's deadline moves along.
void Processor::note_tsc() {
    const uint64_t offset = vcpu_->state().tsc_offset;
    if (offset == tsc_offset_seen_) return;
    tsc_offset_seen_ = offset;
    apic_.tsc_changed();
}

}  // namespace mynah
