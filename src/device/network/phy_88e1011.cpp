#include "device/network/phy_88e1011.h"

namespace mynah {
namespace {

constexpr unsigned kControl = 0, kStatus = 1, kId1 = 2, kId2 = 3, kAdvertise = 4, kPartner = 5,
                   kExpansion = 6, kNextPage = 7, kGigabitControl = 9, kGigabitStatus = 10,
                   kExtendedStatus = 15, kSpecificControl = 16, kSpecificStatus = 17,
                   kInterruptEnable = 18, kInterruptStatus = 19, kExtendedControl = 20,
                   kReceiveErrors = 21, kLedControl = 24, kPageSelect = 29, kPageData = 30;

constexpr uint16_t kStatusLink = 0x0004, kStatusNegotiated = 0x0020;
constexpr uint16_t kSpecificLink = 0x0400;
constexpr uint16_t kInterruptLink = 0x0400;

// What comes up after a reset and what can be written.
struct Layout {
    unsigned number;
    uint16_t reset, writable;
};
constexpr Layout kLayout[] = {
    {kControl, 0x1140, 0x7dc0},          // negotiation on, 1000 Mb/s, full duplex
    {kStatus, 0x7949, 0},                // all 10 and 100 Mb/s abilities, extended status
    {kId1, 0x0141, 0},                   //
    {kId2, 0x0c20, 0},                   //
    {kAdvertise, 0x0de1, 0xffff},        //
    {kPartner, 0x45e1, 0},               // a switch that can do everything
    {kExpansion, 0x0001, 0},             //
    {kNextPage, 0x2001, 0xffff},         //
    {kGigabitControl, 0x0e00, 0xff00},   //
    {kGigabitStatus, 0x3c00, 0},         // partner: 1000 Mb/s both ways; receivers are good
    {kExtendedStatus, 0x3000, 0},        // 1000BASE-T
    {kSpecificControl, 0x0360, 0xffff},  //
    {kSpecificStatus, 0xac00, 0},        // 1000 Mb/s, full duplex, resolved, link
    {kInterruptEnable, 0, 0xffff},       //
    {kExtendedControl, 0x0d60, 0xffff},  //
    {kLedControl, 0x4100, 0xffff},       //
    {kPageSelect, 0, 0xffff},            //
    {kPageData, 0, 0xffff},              //
};

}  // namespace

void Phy88e1011::reset() {
    registers_.fill(0);
    for (const Layout& each : kLayout) registers_[each.number] = each.reset;
}

void Phy88e1011::set_link(bool up) {
    if (link_ == up) return;
    link_ = up;
    if (!up) link_was_down_ = true;
    registers_[kInterruptStatus] |= kInterruptLink;
}

uint16_t Phy88e1011::read(unsigned reg) {
    if (reg >= kRegisters) return 0xffff;
    uint16_t value = registers_[reg];
    switch (reg) {
        case kStatus:
            if (link_) value |= kStatusNegotiated;
            if (link_ && !link_was_down_) value |= kStatusLink;
            link_was_down_ = !link_;
            return value;
        case kPartner:
        case kGigabitStatus:
            return link_ ? value : 0;
        case kSpecificStatus:
            return link_ ? value : static_cast<uint16_t>(value & ~kSpecificLink);
        case kInterruptStatus:
        case kReceiveErrors:
            registers_[reg] = 0;  // cleared by being read
            return value;
        default:
            return value;
    }
}

void Phy88e1011::write(unsigned reg, uint16_t value) {
    if (reg == kControl && (value & kControlReset) != 0) {
        reset();
        return;
    }
    for (const Layout& each : kLayout) {
        if (each.number != reg) continue;
        const auto kept = static_cast<uint16_t>(registers_[reg] & ~each.writable);
        registers_[reg] = static_cast<uint16_t>(kept | (value & each.writable));
    }
    // Both are over as soon as they are asked for.
    registers_[kControl] &= static_cast<uint16_t>(~(kControlReset | kControlRestart));
}

}  // namespace mynah
