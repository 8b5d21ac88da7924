#pragma once

#include <cstdint>

namespace mynah {

// Delivery mode as I/O APIC, MSI, ICR and LVT encode it [SDM 3A 10.5.1, 10.6.1, 10.11.2].
enum class DeliveryMode : uint8_t {
    kFixed = 0,
    kLowestPriority = 1,
    kSmi = 2,
    kNmi = 4,
    kInit = 5,
    kStartup = 6,
    kExtInt = 7,
};

// One interrupt on its way to the local APICs.
struct ApicMessage {
    // Every local APIC, in both destination modes.
    static constexpr uint32_t kBroadcast = 0xffffffff;

    uint32_t destination = 0;  // APIC id, or logical destination
    bool logical = false;
    DeliveryMode mode = DeliveryMode::kFixed;
    uint8_t vector = 0;
    bool level_triggered = false;
};

}  // namespace mynah
