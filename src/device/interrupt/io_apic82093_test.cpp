#include "device/interrupt/io_apic82093.h"

#include <gtest/gtest.h>

#include <vector>

#include "device/interrupt/io_apic82093_registers.h"

namespace mynah {
namespace {

namespace entry = io_apic::entry;

class IoApicTest : public ::testing::Test {
 protected:
    IoApicTest() { chip.reset(); }

    void write_register(uint8_t index, uint32_t value) {
        IoApic82093::Messages out;
        chip.write(io_apic::kSelect, index, out);
        chip.write(io_apic::kData, value, out);
        collect(out);
    }
    uint32_t read_register(uint8_t index) {
        IoApic82093::Messages out;
        chip.write(io_apic::kSelect, index, out);
        return chip.read(io_apic::kData);
    }
    void route(unsigned pin, uint64_t value) {
        const auto low = static_cast<uint8_t>(io_apic::kRedirection + 2 * pin);
        write_register(static_cast<uint8_t>(low + 1), static_cast<uint32_t>(value >> 32));
        write_register(low, static_cast<uint32_t>(value));
    }
    void set_pin(unsigned pin, bool level) {
        IoApic82093::Messages out;
        chip.set_pin(pin, level, out);
        collect(out);
    }
    void eoi(uint8_t vector) {
        IoApic82093::Messages out;
        chip.end_of_interrupt(vector, out);
        collect(out);
    }
    void collect(const IoApic82093::Messages& out) {
        for (const ApicMessage& message : out) sent.push_back(message);
    }

    IoApic82093 chip;
    std::vector<ApicMessage> sent;
};

TEST_F(IoApicTest, IdVersionAndReset) {
    EXPECT_EQ(read_register(io_apic::kVersion), 0x00170020u);
    write_register(io_apic::kId, 0xffffffff);
    EXPECT_EQ(read_register(io_apic::kId), 0x0f000000u);
    EXPECT_EQ(read_register(io_apic::kArbitration), 0x0f000000u);
    for (uint8_t pin = 0; pin < IoApic82093::kPins; ++pin) {
        EXPECT_EQ(read_register(static_cast<uint8_t>(0x10 + 2 * pin)), 0x10000u);
        EXPECT_EQ(read_register(static_cast<uint8_t>(0x11 + 2 * pin)), 0u);
    }
    EXPECT_EQ(read_register(0x40), 0u);  // beyond the table
    EXPECT_EQ(read_register(0x0f), 0u);
    EXPECT_EQ(chip.read(0x20), 0u);
}

TEST_F(IoApicTest, ReadOnlyAndReservedBitsStay) {
    write_register(0x10, 0xffffffff);
    EXPECT_EQ(read_register(0x10), 0x0001afffu);
    write_register(0x11, 0xffffffff);
    EXPECT_EQ(read_register(0x11), 0xff000000u);
    write_register(io_apic::kVersion, 0);
    EXPECT_EQ(read_register(io_apic::kVersion), 0x00170020u);
}

TEST_F(IoApicTest, AnEdgeSendsOneMessage) {
    route(4, 0x31 | uint64_t{3} << 56);
    set_pin(4, true);
    set_pin(4, true);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].vector, 0x31);
    EXPECT_EQ(sent[0].destination, 3u);
    EXPECT_FALSE(sent[0].logical);
    EXPECT_FALSE(sent[0].level_triggered);
    EXPECT_EQ(sent[0].mode, DeliveryMode::kFixed);
    set_pin(4, false);
    set_pin(4, true);
    EXPECT_EQ(sent.size(), 2u);
    EXPECT_EQ(chip.entry(4) & entry::kRemoteIrr, 0u);
}

TEST_F(IoApicTest, AnEdgeOnAMaskedPinIsLost) {
    route(4, 0x31 | entry::kMasked);
    set_pin(4, true);
    route(4, 0x31);
    EXPECT_TRUE(sent.empty());
}

TEST_F(IoApicTest, ALevelIsSentOncePerEndOfInterrupt) {
    route(9, 0x59 | entry::kLevel | entry::kLogical | uint64_t{1} << 56);
    set_pin(9, true);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_TRUE(sent[0].level_triggered);
    EXPECT_TRUE(sent[0].logical);
    EXPECT_NE(chip.entry(9) & entry::kRemoteIrr, 0u);
    set_pin(9, false);
    set_pin(9, true);
    EXPECT_EQ(sent.size(), 1u);
    eoi(0x58);
    EXPECT_EQ(sent.size(), 1u);
    eoi(0x59);
    EXPECT_EQ(sent.size(), 2u);  // still high
    set_pin(9, false);
    eoi(0x59);
    EXPECT_EQ(sent.size(), 2u);
    EXPECT_EQ(chip.entry(9) & entry::kRemoteIrr, 0u);
}

TEST_F(IoApicTest, ALevelThatNobodyClearsIsHeldBackForAWhile) {
    route(9, 0x59 | entry::kLevel);
    set_pin(9, true);
    for (unsigned i = 1; i < IoApic82093::kMostRepeats; ++i) eoi(0x59);
    EXPECT_EQ(sent.size(), IoApic82093::kMostRepeats);
    EXPECT_FALSE(chip.holds());
    eoi(0x59);
    EXPECT_EQ(sent.size(), IoApic82093::kMostRepeats);
    EXPECT_TRUE(chip.holds());
    IoApic82093::Messages out;
    chip.release(out);
    collect(out);
    EXPECT_EQ(sent.size(), IoApic82093::kMostRepeats + 1);
    EXPECT_FALSE(chip.holds());
    // One that is cleared in between never is.
    for (unsigned i = 0; i < 3 * IoApic82093::kMostRepeats; ++i) {
        set_pin(9, false);
        set_pin(9, true);
        eoi(0x59);
    }
    EXPECT_EQ(sent.size(), 4 * IoApic82093::kMostRepeats + 1);
    // Clearing one that is held lets it go.
    for (unsigned i = 0; i < IoApic82093::kMostRepeats; ++i) eoi(0x59);
    EXPECT_TRUE(chip.holds());
    set_pin(9, false);
    EXPECT_FALSE(chip.holds());
    set_pin(9, true);
    EXPECT_EQ(sent.size(), 5 * IoApic82093::kMostRepeats);
}

TEST_F(IoApicTest, UnmaskingALevelThatIsHighSends) {
    route(9, 0x59 | entry::kLevel | entry::kMasked);
    set_pin(9, true);
    EXPECT_TRUE(sent.empty());
    route(9, 0x59 | entry::kLevel);
    EXPECT_EQ(sent.size(), 1u);
}

TEST_F(IoApicTest, TheEoiRegisterEndsToo) {
    route(9, 0x59 | entry::kLevel);
    set_pin(9, true);
    set_pin(9, false);
    IoApic82093::Messages out;
    chip.write(io_apic::kEoi, 0x59, out);
    EXPECT_EQ(chip.entry(9) & entry::kRemoteIrr, 0u);
}

TEST_F(IoApicTest, AMomentOfEdgeModeClearsRemoteIrr) {
    route(9, 0x59 | entry::kLevel);
    set_pin(9, true);
    write_register(0x10 + 18, 0x59 | entry::kMasked);
    EXPECT_EQ(chip.entry(9) & entry::kRemoteIrr, 0u);
    write_register(0x10 + 18, 0x59 | entry::kLevel);
    EXPECT_EQ(sent.size(), 2u);
}

TEST_F(IoApicTest, NmiHasNoEndOfInterrupt) {
    route(3, entry::kLevel | uint64_t{4} << entry::kDeliveryShift);
    set_pin(3, true);
    set_pin(3, false);
    set_pin(3, true);
    ASSERT_EQ(sent.size(), 2u);
    EXPECT_EQ(sent[0].mode, DeliveryMode::kNmi);
}

TEST_F(IoApicTest, AllOnesDestinationIsBroadcastAndReservedModesAreSilent) {
    route(3, 0x33 | uint64_t{0xff} << 56);
    set_pin(3, true);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].destination, ApicMessage::kBroadcast);
    for (uint64_t mode : {3u, 6u}) {
        route(5, 0x33 | mode << entry::kDeliveryShift);
        set_pin(5, false);
        set_pin(5, true);
    }
    EXPECT_EQ(sent.size(), 1u);
}

}  // namespace
}  // namespace mynah
