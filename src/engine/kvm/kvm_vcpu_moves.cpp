// A processor that comes to KVM or leaves it: what the kernel has of it besides CpuState.

#include <algorithm>
#include <cerrno>

#include "base/bits.h"
#include "base/log.h"
#include "engine/kvm/kvm_vcpu.h"
#include "spec/kvm/paravirt.h"
#include "spec/x86/msr.h"

namespace mynah::kvm {
namespace {

namespace feature = kvm_guest::feature;

// Of ApicImage::registers [SDM 3A table 10-6].
constexpr unsigned kTpr = 0x08, kIrr = 0x20, kLvtTimer = 0x32, kInitialCount = 0x38,
                   kCurrentCount = 0x39;

// KVM keeps a tick that has come and that no entry has put into IRR yet, and does not say so. In
// one-shot mode nothing would ever make up for it; one too many does no harm.
void keep_tick(ApicImage& image) {
    const uint32_t entry = image.registers[kLvtTimer];
    const uint32_t vector = entry & 0xff;
    constexpr uint32_t kMaskedOrNotOneShot = 7u << 16;
    if ((entry & kMaskedOrNotOneShot) != 0 || vector < 16) return;
    if (image.registers[kInitialCount] == 0 || image.registers[kCurrentCount] != 0) return;
    image.registers[kIrr + vector / 32] |= 1u << vector % 32;
}

}  // namespace

// Nothing is on its way to the processor but what the image has. Done at once, as interrupts may be
// sent to the kernel's local APIC from here on.
void KvmVcpu::apic_changed() {
    kvm_vcpu_events& events = registers_.events;
    events.exception = {};
    events.interrupt = {};
    events.nmi = {};
    events.smi.pending = 0;
    std::fill(std::begin(registers_.special.interrupt_bitmap),
              std::end(registers_.special.interrupt_bitmap), 0);
    changed_ = true;
    push_paravirt(ports_.take_paravirt());
    if (!has_apic_) return;
    const auto done = push_apic(ports_.take_apic());
    broken_ = done ? "" : done.error().message();
}

Result<void> KvmVcpu::push_apic(const ApicImage& image) {
    registers_.special.apic_base = image.base;
    registers_.special.cr8 = image.registers[kTpr] >> 4 & 0xf;
    if (image.unfinished) {
        registers_.events.interrupt.injected = 1;
        registers_.events.interrupt.nr = *image.unfinished;
    }
    TRY(push_state());
    kvm_lapic_state page{};
    for (unsigned i = 0; i < image.registers.size(); ++i)
        store_unaligned(page.regs + 16 * i, image.registers[i]);
    TRY(vcpu_.request("KVM_SET_LAPIC", KVM_SET_LAPIC, &page));
    tsc_known_ = false;
    push_tsc();
    if (machine_.cpuid().has("tsc-deadline"))
        (void)set_msr(vcpu_, x86::msr::kTscDeadline, image.tsc_deadline);
    return {};
}

std::optional<ApicImage> KvmVcpu::pull_apic() {
    ApicImage image;
    kvm_lapic_state page{};
    const auto done = vcpu_.request("KVM_GET_LAPIC", KVM_GET_LAPIC, &page);
    if (!done) {
        log(LogLevel::kError, "kvm: {}", done.error().message());
        return std::nullopt;
    }
    for (unsigned i = 0; i < image.registers.size(); ++i)
        image.registers[i] = load_unaligned<uint32_t>(page.regs + 16 * i);
    keep_tick(image);
    image.base = registers_.special.apic_base;
    (void)get_msr(vcpu_, x86::msr::kTscDeadline, image.tsc_deadline);
    return image;
}

// Steal time and PV EOI as the guest set them up. Where there is no memory the kernel does not take
// it, and nothing is told there, as on the other engines.
void KvmVcpu::push_paravirt(const ParavirtMsrs& written) {
    if (machine_.has_paravirt(feature::kStealTime))
        (void)set_msr(vcpu_, kvm_guest::msr::kStealTime, written.steal_time);
    if (machine_.has_paravirt(feature::kPvEoi))
        (void)set_msr(vcpu_, kvm_guest::msr::kPvEoi, written.pv_eoi);
}

ParavirtMsrs KvmVcpu::pull_paravirt() {
    ParavirtMsrs written;
    if (machine_.has_paravirt(feature::kStealTime))
        (void)get_msr(vcpu_, kvm_guest::msr::kStealTime, written.steal_time);
    if (machine_.has_paravirt(feature::kPvEoi))
        (void)get_msr(vcpu_, kvm_guest::msr::kPvEoi, written.pv_eoi);
    return written;
}

// A vector that the controllers count as in service and the guest has not seen: it was being
// delivered, or was handed over and still waits. Only then is another one refused.
std::optional<uint8_t> KvmVcpu::undelivered() {
    const auto& interrupt = registers_.events.interrupt;
    if (interrupt.injected != 0 && interrupt.soft == 0) return interrupt.nr;
    if (!has_apic_ || !external_) return std::nullopt;
    kvm_interrupt again{.irq = *external_};
    return vcpu_.ask(KVM_INTERRUPT, &again) == -EEXIST ? external_ : std::nullopt;
}

// An exception that was being delivered is not kept: its instruction runs again and raises it
// again.
void KvmVcpu::leave() {
    (void)state();
    const kvm_vcpu_events& events = registers_.events;
    if (events.nmi.pending != 0 || events.nmi.injected != 0) signals_.raise(CpuSignals::kNmi);
    // KVM masks NMIs from when it injects one; this one has yet to be delivered.
    if (events.nmi.injected != 0) state_.nmi_blocked = false;
    if (events.smi.pending != 0) signals_.raise(CpuSignals::kSmi);
    const auto vector = undelivered();
    ports_.return_paravirt(pull_paravirt());
    if (has_apic_) {
        if (auto image = pull_apic()) {
            image->unfinished = vector;
            ports_.return_apic(*image);
        }
    } else if (vector) {
        ports_.give_back(*vector);
    }
}

}  // namespace mynah::kvm
