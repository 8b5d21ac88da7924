#include "bus/pci/pci_config_access.h"

#include <algorithm>

#include "base/bits.h"

namespace mynah {
namespace {

namespace mechanism1 = pci::mechanism1;

constexpr unsigned kData = 4;          // data port, from the address port
constexpr unsigned kResetControl = 1;  // CF9h

// One access as those of one dword each that it touches: visit(offset, size, shift of the value).
template <typename Visit>
void for_each_dword(uint64_t offset, unsigned size, Visit&& visit) {
    for (unsigned done = 0; done < size;) {
        const auto at = static_cast<unsigned>(offset + done);
        const unsigned part = std::min(size - done, 4 - at % 4);
        visit(at, part, 8 * done);
        done += part;
    }
}

struct ConfigAddress {
    uint8_t bus, devfn;
    unsigned offset;
};
ConfigAddress parse_mechanism1(uint32_t address) {
    return {static_cast<uint8_t>(address >> 16), static_cast<uint8_t>(address >> 8),
            address & 0xfcu};
}
ConfigAddress parse_ecam(uint64_t offset) {
    return {static_cast<uint8_t>(offset >> 20), static_cast<uint8_t>(offset >> 12),
            static_cast<unsigned>(offset & 0xfff)};
}

}  // namespace

uint32_t PciConfigPorts::address() {
    MutexLock lock(mutex_);
    return address_;
}

uint64_t PciConfigPorts::read(uint64_t offset, unsigned size) {
    if (offset == kResetControl && size == 1) return reset_control_.read(0, 1);
    if (offset == 0 && size == 4) return address();
    if (offset < kData) return ~uint64_t{0};
    const uint32_t address = this->address();
    if ((address & mechanism1::kEnable) == 0) return ~uint64_t{0};
    const ConfigAddress to = parse_mechanism1(address);
    return bus_.config_read(to.bus, to.devfn, to.offset + static_cast<unsigned>(offset - kData),
                            size);
}

void PciConfigPorts::write(uint64_t offset, unsigned size, uint64_t value) {
    if (offset == kResetControl && size == 1) {
        reset_control_.write(0, 1, value);
        return;
    }
    if (offset == 0 && size == 4) {
        MutexLock lock(mutex_);
        address_ = static_cast<uint32_t>(value) & mechanism1::kAddressWritable;
        return;
    }
    if (offset < kData) return;
    const uint32_t address = this->address();
    if ((address & mechanism1::kEnable) == 0) return;
    const ConfigAddress to = parse_mechanism1(address);
    bus_.config_write(to.bus, to.devfn, to.offset + static_cast<unsigned>(offset - kData), size,
                      static_cast<uint32_t>(value));
}

void PciConfigPorts::reset() {
    MutexLock lock(mutex_);
    address_ = 0;
}

uint64_t PciEcam::read(uint64_t offset, unsigned size) {
    uint64_t value = 0;
    for_each_dword(offset, size, [&](uint64_t at, unsigned part, unsigned shift) {
        const ConfigAddress to = parse_ecam(at);
        value |= uint64_t{bus_.config_read(to.bus, to.devfn, to.offset, part)} << shift;
    });
    return value;
}

void PciEcam::write(uint64_t offset, unsigned size, uint64_t value) {
    for_each_dword(offset, size, [&](uint64_t at, unsigned part, unsigned shift) {
        const ConfigAddress to = parse_ecam(at);
        bus_.config_write(to.bus, to.devfn, to.offset, part,
                          static_cast<uint32_t>(value >> shift & low_mask(8 * part)));
    });
}

}  // namespace mynah
