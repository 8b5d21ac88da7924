#include "device/serial/uart16550.h"

#include <gtest/gtest.h>

#include "device/serial/uart16550_registers.h"

namespace mynah {
namespace {

using namespace uart;

class Uart16550Test : public ::testing::Test {
 protected:
    void enable(uint8_t interrupts) {
        chip.write(kMcr, mcr::kOut2);
        chip.write(kIer, interrupts);
    }
    Uart16550 chip;
};

TEST_F(Uart16550Test, ResetValues) {
    EXPECT_EQ(chip.read(kIer), 0);
    EXPECT_EQ(chip.read(kIirFcr), iir::kNone);
    EXPECT_EQ(chip.read(kLcr), 0);
    EXPECT_EQ(chip.read(kMcr), 0);
    EXPECT_EQ(chip.read(kLsr), lsr::kTransmitEmpty | lsr::kIdle);
    EXPECT_EQ(chip.read(kMsr), msr::kCts | msr::kDsr | msr::kDcd);
    EXPECT_FALSE(chip.interrupt());
}

TEST_F(Uart16550Test, WriteMasksAndScratch) {
    for (unsigned reg : {kIer, kMcr, kScratch}) chip.write(reg, 0xff);
    EXPECT_EQ(chip.read(kIer), 0x0f);
    EXPECT_EQ(chip.read(kMcr), 0x1f);
    EXPECT_EQ(chip.read(kScratch), 0xff);
    chip.write(kLsr, 0x1f);
    EXPECT_EQ(chip.read(kLsr) & lsr::kErrors, 0);
    EXPECT_EQ(chip.read(8), 0xff);
}

TEST_F(Uart16550Test, DivisorLatch) {
    chip.write(kLcr, lcr::kDlab | 0x03);
    EXPECT_FALSE(chip.write(kData, 0x34).has_value());
    chip.write(kIer, 0x12);
    EXPECT_EQ(chip.read(kData), 0x34);
    EXPECT_EQ(chip.read(kIer), 0x12);
    chip.write(kLcr, 0x03);
    EXPECT_EQ(chip.read(kIer), 0);
    EXPECT_EQ(chip.write(kData, 0x41), 0x41);
}

TEST_F(Uart16550Test, CharacterTimeFollowsDivisorAndFormat) {
    chip.write(kLcr, lcr::kDlab);
    chip.write(kData, 1);
    chip.write(kIer, 0);
    chip.write(kLcr, 0x03);  // 8N1: ten bits at 115200
    EXPECT_EQ(chip.character_ns(), 86805u);
    chip.write(kLcr, 0x1f);  // 8E2
    EXPECT_EQ(chip.character_ns(), 104166u);
}

TEST_F(Uart16550Test, ReceiveWithoutFifoOverruns) {
    enable(ier::kReceived | ier::kLineStatus);
    EXPECT_EQ(chip.receive_space(), 1u);
    chip.receive('a');
    EXPECT_EQ(chip.read(kIirFcr), iir::kReceived);
    EXPECT_EQ(chip.receive_space(), 0u);
    chip.receive('b');
    EXPECT_EQ(chip.read(kIirFcr), iir::kLineStatus);
    EXPECT_EQ(chip.read(kLsr) & (lsr::kDataReady | lsr::kOverrun), lsr::kDataReady | lsr::kOverrun);
    EXPECT_EQ(chip.read(kLsr) & lsr::kOverrun, 0);  // cleared by reading
    EXPECT_EQ(chip.read(kData), 'b');
    EXPECT_EQ(chip.read(kIirFcr), iir::kNone);
}

TEST_F(Uart16550Test, FifoKeepsTheOldBytesOnOverrun) {
    chip.write(kIirFcr, fcr::kEnable);
    for (char c = 'a'; c < 'a' + 17; ++c) chip.receive(static_cast<uint8_t>(c));
    EXPECT_NE(chip.read(kLsr) & lsr::kOverrun, 0);
    for (char c = 'a'; c < 'a' + 16; ++c) EXPECT_EQ(chip.read(kData), c);
    EXPECT_EQ(chip.read(kLsr) & lsr::kDataReady, 0);
}

TEST_F(Uart16550Test, TriggerLevels) {
    const struct { uint8_t code; unsigned bytes; } cases[] = {{0, 1}, {1, 4}, {2, 8}, {3, 14}};
    for (const auto& c : cases) {
        chip.reset();
        enable(ier::kReceived);
        chip.write(kIirFcr, static_cast<uint8_t>(fcr::kEnable | c.code << 6));
        for (unsigned i = 0; i + 1 < c.bytes; ++i) chip.receive('x');
        EXPECT_FALSE(chip.interrupt()) << c.bytes;
        chip.receive('x');
        EXPECT_TRUE(chip.interrupt());
        EXPECT_EQ(chip.read(kIirFcr), iir::kReceived | iir::kFifosEnabled);
        chip.read(kData);
        EXPECT_FALSE(chip.interrupt());
    }
}

TEST_F(Uart16550Test, CharacterTimeout) {
    enable(ier::kReceived);
    chip.write(kIirFcr, fcr::kEnable | 0x80);
    EXPECT_FALSE(chip.wants_timeout());
    chip.receive('x');
    chip.receive('y');
    EXPECT_TRUE(chip.wants_timeout());
    chip.receive_timeout();
    EXPECT_EQ(chip.read(kIirFcr), iir::kTimeout | iir::kFifosEnabled);
    EXPECT_FALSE(chip.wants_timeout());
    chip.read(kData);
    EXPECT_FALSE(chip.interrupt());
    EXPECT_TRUE(chip.wants_timeout());
    chip.read(kData);
    EXPECT_FALSE(chip.wants_timeout());
}

TEST_F(Uart16550Test, TransmitEmptyInterruptIsTakenByReadingIir) {
    enable(ier::kTransmitEmpty);
    EXPECT_TRUE(chip.interrupt());  // enabled while empty
    EXPECT_EQ(chip.read(kIirFcr), iir::kTransmitEmpty);
    EXPECT_FALSE(chip.interrupt());
    EXPECT_EQ(chip.write(kData, 'q'), 'q');
    EXPECT_TRUE(chip.interrupt());
    EXPECT_NE(chip.read(kLsr) & lsr::kTransmitEmpty, 0);
}

TEST_F(Uart16550Test, InterruptPriorities) {
    chip.write(kIirFcr, fcr::kEnable);
    enable(0x0f);
    chip.set_modem_inputs(0);
    chip.receive_break();
    EXPECT_EQ(chip.read(kIirFcr) & 0x0f, iir::kLineStatus);
    EXPECT_EQ(chip.read(kLsr) & (lsr::kBreak | lsr::kFifoError), lsr::kBreak | lsr::kFifoError);
    EXPECT_EQ(chip.read(kIirFcr) & 0x0f, iir::kReceived);
    EXPECT_EQ(chip.read(kData), 0);
    EXPECT_EQ(chip.read(kIirFcr) & 0x0f, iir::kTransmitEmpty);
    EXPECT_EQ(chip.read(kIirFcr) & 0x0f, iir::kModemStatus);
    EXPECT_EQ(chip.read(kMsr), msr::kDeltaCts | msr::kDeltaDsr | msr::kDeltaDcd);
    EXPECT_EQ(chip.read(kIirFcr) & 0x0f, iir::kNone);
}

TEST_F(Uart16550Test, Out2GatesTheInterrupt) {
    chip.write(kIer, ier::kTransmitEmpty);
    EXPECT_FALSE(chip.interrupt());
    EXPECT_EQ(chip.read(kIirFcr), iir::kTransmitEmpty);
    chip.write(kData, 'x');
    chip.write(kMcr, mcr::kOut2);
    EXPECT_TRUE(chip.interrupt());
}

TEST_F(Uart16550Test, Loopback) {
    chip.write(kMcr, mcr::kLoop | mcr::kOut2 | mcr::kRts);
    EXPECT_EQ(chip.read(kMsr) & 0xf0, msr::kDcd | msr::kCts);
    EXPECT_FALSE(chip.write(kData, 0x5a).has_value());
    EXPECT_EQ(chip.read(kData), 0x5a);
    EXPECT_EQ(chip.receive_space(), 0u);
    chip.receive('x');  // the line is disconnected
    EXPECT_EQ(chip.read(kLsr) & lsr::kDataReady, 0);
    chip.read(kMsr);
    chip.write(kMcr, mcr::kLoop | mcr::kOut1);
    chip.read(kMsr);
    chip.write(kMcr, mcr::kLoop);
    EXPECT_EQ(chip.read(kMsr), msr::kTrailingRi);
}

TEST_F(Uart16550Test, FifoControl) {
    chip.write(kIirFcr, 0xc0);  // without the enable bit nothing counts
    EXPECT_EQ(chip.read(kIirFcr), iir::kNone);
    chip.write(kIirFcr, fcr::kEnable);
    EXPECT_EQ(chip.read(kIirFcr), iir::kNone | iir::kFifosEnabled);
    chip.receive('x');
    chip.write(kIirFcr, fcr::kEnable | fcr::kClearReceive);
    EXPECT_EQ(chip.read(kLsr) & lsr::kDataReady, 0);
    chip.receive('x');
    chip.write(kIirFcr, 0);  // turning it off clears it
    EXPECT_EQ(chip.read(kLsr) & lsr::kDataReady, 0);
}

}  // namespace
}  // namespace mynah
