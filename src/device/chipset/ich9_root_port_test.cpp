#include "device/chipset/ich9_root_port.h"

#include <gtest/gtest.h>

#include <thread>

#include "testing/pci_slot.h"

namespace mynah {
namespace {

namespace express = pci::express;
namespace slot = pci::express::slot;
using testing::PciSlotBoard;

// What a hot-plug driver does with a port and its slot.
class RootPortTest : public ::testing::Test {
  protected:
    RootPortTest() {
        for (uint32_t at = port_.function().config_read(0x34, 1); at != 0;
             at = port_.function().config_read(at + 1, 1)) {
            if (port_.function().config_read(at, 1) == 0x10) express_ = at;
            if (port_.function().config_read(at, 1) == 0x05) msi_ = at;
        }
        bus_.add_bridge({28, 0}, port_.function(), port_.secondary());
        port_.function().config_write(pci::bridge::kSecondaryBus, 2, 0x0101);
        port_.on_power_off([this] { ++power_offs_; });
    }
    uint32_t get(unsigned at, unsigned size = 2) {
        return port_.function().config_read(express_ + at, size);
    }
    void put(unsigned at, uint32_t value) {
        port_.function().config_write(express_ + at, 2, value);
    }
    uint32_t card_id() { return bus_.config_read(1, 0, 0, 4); }
    // Turns power on or off and hears that it is done.
    void power(bool on) {
        put(express::kSlotControl, control_ | (on ? 0 : slot::kPowerOff));
        EXPECT_NE(get(express::kSlotStatus) & slot::kCommandCompleted, 0u);
        put(express::kSlotStatus, slot::kCommandCompleted | slot::kLinkChanged);
    }

    PciSlotBoard board_{1 << 16};
    PciBus bus_;
    Ich9RootPort port_{board_.attachment(), 0};
    testing::RecordingLine card_line_;
    PciAttachment card_at_{board_.ports, board_.memory_space, *board_.memory, card_line_,
                           board_.msi};
    PciFunction card_{card_at_, {.vendor = 0x1af4, .device = 0x1042, .class_code = 0x010000}};
    uint32_t express_ = 0, msi_ = 0;
    uint32_t control_ = slot::kInterruptEnable | slot::kButtonPressed | slot::kPresenceChanged;
    int power_offs_ = 0;
};

TEST_F(RootPortTest, AnEmptySlotSaysWhatItCan) {
    EXPECT_NE(get(express::kCapabilities) & express::kSlotImplemented, 0u);
    EXPECT_EQ(get(express::kSlotCapabilities, 4), 1u << slot::kNumberShift | slot::kHotPlug |
                                                      slot::kButton | slot::kPowerController |
                                                      slot::kAttentionLamp | slot::kPowerLamp);
    EXPECT_EQ(get(express::kSlotStatus), 0u);
    EXPECT_NE(get(express::kSlotControl) & slot::kPowerOff, 0u);
    EXPECT_EQ(card_id(), ~0u);
}

TEST_F(RootPortTest, ACardIsThereWhenTheGuestTurnsThePowerOn) {
    put(express::kSlotControl, control_ | slot::kPowerOff);
    put(express::kSlotStatus, slot::kCommandCompleted);
    EXPECT_FALSE(board_.intx.level());
    port_.insert(card_);
    EXPECT_TRUE(board_.intx.level());
    EXPECT_EQ(get(express::kSlotStatus),
              slot::kPresence | slot::kPresenceChanged | slot::kButtonPressed);
    EXPECT_EQ(card_id(), ~0u);
    put(express::kSlotStatus, slot::kPresenceChanged | slot::kButtonPressed);
    EXPECT_FALSE(board_.intx.level());
    power(true);
    EXPECT_EQ(card_id(), 0x10421af4u);
    EXPECT_NE(get(express::kLinkStatus) & 1u << 13, 0u);

    port_.press_attention_button();
    EXPECT_TRUE(board_.intx.level());
    put(express::kSlotStatus, slot::kButtonPressed);
    EXPECT_FALSE(board_.intx.level());
    power(false);
    EXPECT_EQ(power_offs_, 1);
    EXPECT_EQ(card_id(), ~0u);
    EXPECT_EQ(get(express::kLinkStatus) & 1u << 13, 0u);
    port_.remove();
    EXPECT_EQ(get(express::kSlotStatus), slot::kPresenceChanged);
    port_.secondary().settle(0);
    // And again.
    put(express::kSlotStatus, slot::kEvents);
    port_.insert(card_);
    power(true);
    EXPECT_EQ(card_id(), 0x10421af4u);
}

TEST_F(RootPortTest, EventsComeAsOneMessageEach) {
    port_.function().config_write(4, 2, 4);
    port_.function().config_write(msi_ + 4, 4, 0xfee00000);
    port_.function().config_write(msi_ + 12, 2, 0x31);
    port_.function().config_write(msi_ + 2, 2, 1);
    put(express::kSlotControl, control_);
    port_.press_attention_button();
    port_.press_attention_button();  // there is one that was not taken note of
    EXPECT_EQ(board_.msi.take().size(), 1u);
    put(express::kSlotStatus, slot::kButtonPressed);
    port_.press_attention_button();
    EXPECT_EQ(board_.msi.take().size(), 1u);
    // Not for what was not asked for.
    put(express::kSlotStatus, slot::kEvents);
    put(express::kSlotControl, 0);
    port_.press_attention_button();
    EXPECT_EQ(board_.msi.take().size(), 0u);
}

TEST_F(RootPortTest, AfterAResetTheCardHasPower) {
    port_.insert(card_);
    EXPECT_EQ(card_id(), ~0u);
    port_.reset();
    port_.function().config_write(pci::bridge::kSecondaryBus, 2, 0x0101);
    EXPECT_EQ(card_id(), 0x10421af4u);
    EXPECT_EQ(get(express::kSlotControl) & slot::kPowerOff, 0u);
    EXPECT_EQ(get(express::kSlotStatus), slot::kPresence);
    port_.remove();
    port_.reset();
    EXPECT_NE(get(express::kSlotControl) & slot::kPowerOff, 0u);
    EXPECT_EQ(get(express::kSlotStatus), 0u);
}

// A processor looks at the card again and again while it is pulled; whoever settles may then take
// the card apart.
TEST_F(RootPortTest, CyclesUnderWayAreWaitedFor) {
    std::atomic<bool> stop{false};
    std::thread processor([&] {
        while (!stop) bus_.config_read(1, 0, 0, 4);
    });
    for (int i = 0; i < 200; ++i) {
        auto card = std::make_unique<PciFunction>(
            card_at_, PciIdentity{.vendor = 0x1af4, .device = 0x1042, .class_code = 0x010000});
        port_.insert(*card);
        power(true);
        power(false);
        port_.remove();
        port_.secondary().settle(0);
        card.reset();
    }
    stop = true;
    processor.join();
}

}  // namespace
}  // namespace mynah
