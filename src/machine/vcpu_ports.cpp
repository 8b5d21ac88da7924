#include "machine/vcpu_ports.h"

namespace mynah {

uint32_t VcpuPorts::io_read(IoPort port, unsigned size) {
    return static_cast<uint32_t>(ports_.read(port.value, size));
}

void VcpuPorts::io_write(IoPort port, unsigned size, uint32_t value) {
    ports_.write(port.value, size, value);
}

uint64_t VcpuPorts::mmio_read(GuestPhys address, unsigned size) {
    if (apic_->claims(address)) return apic_->mmio_read(address, size);
    return memory_.read(address.value, size);
}

void VcpuPorts::mmio_write(GuestPhys address, unsigned size, uint64_t value) {
    if (apic_->claims(address)) {
        apic_->mmio_write(address, size, value);
    } else {
        memory_.write(address.value, size, value);
    }
}

std::optional<uint8_t> VcpuPorts::acknowledge_interrupt() {
    if (kvm_ != nullptr) kvm_->refresh();
    return apic_->acknowledge_interrupt();
}

uint8_t VcpuPorts::read_cr8() { return apic_->read_cr8(); }

void VcpuPorts::write_cr8(uint8_t value) { apic_->write_cr8(value); }

std::optional<uint64_t> VcpuPorts::read_msr(uint32_t index) {
    if (LocalApic::owns_msr(index)) return apic_->read_msr(index);
    return kvm_ != nullptr ? kvm_->read_msr(index) : std::nullopt;
}

bool VcpuPorts::write_msr(uint32_t index, uint64_t value) {
    if (LocalApic::owns_msr(index)) return apic_->write_msr(index, value);
    if (kvm_ == nullptr) return false;
    apic_->settle();  // by the flag that is perhaps about to move
    return kvm_->write_msr(index, value);
}

void VcpuPorts::tsc_moved(uint64_t offset) {
    if (kvm_ != nullptr) kvm_->tsc_moved(offset);
}

ParavirtMsrs VcpuPorts::take_paravirt() { return kvm_ != nullptr ? kvm_->lend() : ParavirtMsrs{}; }

void VcpuPorts::return_paravirt(const ParavirtMsrs& written) {
    if (kvm_ != nullptr) kvm_->take_back(written);
}

bool VcpuPorts::hypercall(CpuState& state) {
    if (kvm_ == nullptr) return false;
    kvm_->hypercall(state);
    return true;
}

}  // namespace mynah
