#include "device/chipset/ich9_root_port.h"

namespace mynah {
namespace {

namespace express = pci::express;

constexpr uint32_t kSlotNumberShift = 19;
constexpr uint32_t kPresence = 1u << 6;    // in the slot status
constexpr uint32_t kLinkActive = 1u << 13;  // in the link status; the capability is bit 20
constexpr uint32_t kLinkActiveReporting = 1u << 20;
constexpr uint32_t kPortNumberShift = 24;

PciIdentity identity(unsigned number) {
    return {.vendor = ich9::kVendor,
            .device = static_cast<uint16_t>(ich9::kFirstRootPortDevice + 2 * number),
            .class_code = ich9::kRootPortClass,
            .revision = ich9::kRevision,
            .interrupt_pin = static_cast<uint8_t>(Ich9RootPort::pin(number)),
            .bridge = true};
}

}  // namespace

Ich9RootPort::Ich9RootPort(const PciAttachment& attachment, unsigned number)
    : function_(attachment, identity(number)),
      express_(function_.add_express(PciFunction::Express::kRootPort)) {
    function_.add_msi(1);
    function_.set_config(express_ + express::kLinkCapabilities, 4,
                         express::kLinkSpeed1Width1 | kLinkActiveReporting |
                             (number + 1) << kPortNumberShift);
    function_.set_config(express_ + express::kSlotCapabilities, 4, (number + 1)
                                                                       << kSlotNumberShift);
    function_.set_config(express_ + express::kSlotControl, 2, 0, 0x1fff);
    // Changes of presence and link: write one to clear.
    function_.set_config(express_ + express::kSlotStatus, 2, 0);
    function_.set_config_clearable(express_ + express::kSlotStatus, 2, 0x011f);
    function_.set_config(express_ + express::kLinkStatus, 2, express::kLinkSpeed1Width1);
    function_.set_config(express_ + express::kRootControl, 2, 0, 0x001f);
    function_.set_config_clearable(express_ + express::kRootStatus, 4, 1u << 16);
}

void Ich9RootPort::plug(PciFunction& card) {
    secondary_.add({0, 0}, card);
    function_.set_config(express_ + express::kSlotStatus, 2, kPresence);
    function_.set_config(express_ + express::kLinkStatus, 2,
                         express::kLinkSpeed1Width1 | kLinkActive);
}

}  // namespace mynah
