#include "device/interrupt/local_apic.h"

namespace mynah {

// [SDM 3A 10.12.10.1]: derived from the id in x2APIC mode.
uint32_t LocalApic::logical_id() const {
    if (mode() != Mode::kX2apic) return ldr_.load();
    return (config_.apic_id >> 4) << 16 | 1u << (config_.apic_id & 15);
}

bool LocalApic::matches(uint32_t destination, bool logical) const {
    const Mode now = mode();
    if (now == Mode::kDisabled) return false;
    if (destination == ApicMessage::kBroadcast) return true;
    if (!logical) return destination == config_.apic_id;
    if (now == Mode::kX2apic) {
        const uint32_t mine = logical_id();
        return destination >> 16 == mine >> 16 && (destination & mine & 0xffff) != 0;
    }
    // Eight bits; flat: a bit each; cluster: four bits cluster, four a bit each [SDM 3A 10.6.2.2].
    if (destination > 0xff) return false;
    const uint32_t mine = ldr_.load() >> 24;
    if (dfr_.load() >> 28 == 0xf) return (destination & mine) != 0;
    const uint32_t cluster = destination >> 4;
    return (cluster == 0xf || cluster == mine >> 4) && (destination & mine & 0xf) != 0;
}

void LocalApic::send_self_ipi(uint8_t vector) {
    if (vector < 16) {
        report_error(apic::esr::kSendIllegalVector);
        return;
    }
    accept_fixed(vector, false);
}

// The interrupt command register was written [SDM 3A 10.6.1].
void LocalApic::send_ipi(uint64_t command, uint32_t destination) {
    namespace icr = apic::icr;
    ApicMessage message;
    message.destination = destination;
    message.logical = (command & icr::kLogical) != 0;
    message.mode = static_cast<DeliveryMode>((command & icr::kDelivery) >> icr::kDeliveryShift);
    message.vector = static_cast<uint8_t>(command & icr::kVector);
    const auto shorthand = static_cast<icr::Shorthand>(command >> icr::kShorthandShift & 3);

    switch (message.mode) {
        case DeliveryMode::kFixed:
        case DeliveryMode::kLowestPriority:
            if (message.vector < 16) {
                report_error(apic::esr::kSendIllegalVector);
                return;
            }
            break;
        case DeliveryMode::kInit:
            // INIT level de-assert set arbitration ids once; it resets nobody.
            if ((command & icr::kLevel) != 0 && (command & icr::kAssert) == 0) return;
            break;
        case DeliveryMode::kNmi:
        case DeliveryMode::kStartup:
        case DeliveryMode::kSmi: break;
        default: return;  // reserved
    }
    switch (shorthand) {
        case icr::Shorthand::kNone: bus_.deliver(message); break;
        case icr::Shorthand::kSelf:
            // Only fixed interrupts may use it [SDM 3A table 10-3].
            if (message.mode == DeliveryMode::kFixed) accept_fixed(message.vector, false);
            break;
        case icr::Shorthand::kAll: bus_.deliver_to_all(message, nullptr); break;
        case icr::Shorthand::kAllButSelf: bus_.deliver_to_all(message, this); break;
    }
}

}  // namespace mynah
