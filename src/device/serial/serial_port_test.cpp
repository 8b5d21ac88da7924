#include "device/serial/serial_port.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "device/serial/uart16550_registers.h"
#include "testing/manual_clock.h"
#include "testing/recording_line.h"
#include "testing/scripted_character_backend.h"

namespace mynah {
namespace {

using namespace uart;

class SerialPortTest : public ::testing::Test {
 protected:
    uint8_t read(unsigned reg) { return static_cast<uint8_t>(port->read(reg, 1)); }
    void write(unsigned reg, uint8_t value) { port->write(reg, 1, value); }
    void print(std::string_view text) {
        for (char c : text) write(kData, static_cast<uint8_t>(c));
    }
    void use_fifo(uint8_t trigger) {
        write(kIirFcr, static_cast<uint8_t>(fcr::kEnable | trigger));
        write(kMcr, mcr::kOut2);
        write(kIer, ier::kReceived);
        clock.advance(SerialPort::kListenerNs);
    }

    testing::ManualClock clock;
    testing::RecordingLine irq;
    testing::ScriptedCharacterBackend backend;
    std::unique_ptr<SerialPort> port = std::make_unique<SerialPort>(clock, irq, backend);
};

TEST_F(SerialPortTest, ALineLeavesInOneCall) {
    print("hello\r\n");
    EXPECT_EQ(backend.written(), "hello\r\n");
    EXPECT_EQ(backend.output_calls(), 1u);
}

TEST_F(SerialPortTest, APromptLeavesAfterAMoment) {
    print("# ");
    EXPECT_EQ(backend.written(), "");
    clock.advance(SerialPort::kOutputDelayNs);
    EXPECT_EQ(backend.written(), "# ");
    EXPECT_EQ(backend.output_calls(), 1u);
}

TEST_F(SerialPortTest, LongOutputWithoutLineEndsLeavesInPieces) {
    const std::string text(SerialPort::kOutputBytes * 3 + 5, 'x');
    print(text);
    EXPECT_EQ(backend.written().size(), SerialPort::kOutputBytes * 3);
    port.reset();
    EXPECT_EQ(backend.written(), text);  // nothing is lost at the end
}

TEST_F(SerialPortTest, InputInterruptsAtTheTrigger) {
    use_fifo(0x40);
    backend.type("abcd");
    EXPECT_TRUE(irq.level());
    EXPECT_EQ(read(kData), 'a');
    EXPECT_FALSE(irq.level());
}

TEST_F(SerialPortTest, AFewBytesInterruptByTimeout) {
    use_fifo(0x80);
    backend.type("hi");
    EXPECT_FALSE(irq.level());
    clock.advance(10'000'000);
    EXPECT_TRUE(irq.level());
    EXPECT_EQ(read(kIirFcr) & 0x0f, iir::kTimeout);
    read(kData);
    EXPECT_FALSE(irq.level());
    read(kData);
    EXPECT_EQ(clock.armed(), 0u);
}

TEST_F(SerialPortTest, InputWaitsForTheGuest) {
    use_fifo(0xc0);
    std::string text;
    for (int i = 0; i < 1000; ++i) text += static_cast<char>('a' + i % 26);
    backend.type(text);
    EXPECT_EQ(backend.waiting(), 1000u - Uart16550::kFifoBytes);
    std::string got;
    while ((read(kLsr) & lsr::kDataReady) != 0) got += static_cast<char>(read(kData));
    EXPECT_EQ(got, text);
    EXPECT_EQ(backend.waiting(), 0u);
    EXPECT_LE(backend.wanted_calls(), 1000u / Uart16550::kFifoBytes + 1);
    EXPECT_EQ(read(kLsr) & lsr::kOverrun, 0);
}

TEST_F(SerialPortTest, InputWaitsForADriverThatListens) {
    backend.type("early");
    EXPECT_EQ(read(kLsr) & lsr::kDataReady, 0);
    write(kIirFcr, fcr::kEnable | fcr::kClearReceive);
    EXPECT_EQ(read(kLsr) & lsr::kDataReady, 0);
    write(kMcr, mcr::kOut2);
    write(kIer, ier::kReceived);  // as a driver does that tests what the chip has
    clock.advance(SerialPort::kListenerNs / 2);
    write(kIer, 0);
    clock.advance(SerialPort::kListenerNs);
    EXPECT_EQ(read(kLsr) & lsr::kDataReady, 0);
    write(kIer, ier::kReceived);
    clock.advance(SerialPort::kListenerNs);
    EXPECT_EQ(read(kData), 'e');
    write(kIer, 0);  // a moment of printing
    backend.type("r");
    EXPECT_NE(read(kLsr) & lsr::kDataReady, 0);
}

TEST_F(SerialPortTest, InputComesToSoftwareThatPolls) {
    backend.type("p");
    for (unsigned i = 0; i < SerialPort::kListenerPolls; ++i) {
        ASSERT_EQ(read(kLsr) & lsr::kDataReady, 0) << i;
    }
    EXPECT_NE(read(kLsr) & lsr::kDataReady, 0);
    EXPECT_EQ(read(kData), 'p');
}

TEST_F(SerialPortTest, InputHeldBackByLoopbackComesAfterIt) {
    write(kIer, ier::kReceived);
    write(kMcr, mcr::kOut2 | mcr::kLoop);
    clock.advance(SerialPort::kListenerNs);
    backend.type("x");
    EXPECT_EQ(read(kLsr) & lsr::kDataReady, 0);
    write(kMcr, mcr::kOut2);
    EXPECT_EQ(read(kData), 'x');
}

TEST_F(SerialPortTest, ADipBetweenTwoCausesIsAnEdge) {
    write(kMcr, mcr::kOut2);
    write(kIer, ier::kTransmitEmpty);
    EXPECT_EQ(irq.rises(), 1u);
    read(kIirFcr);
    EXPECT_FALSE(irq.level());
    write(kData, 'x');
    EXPECT_EQ(irq.rises(), 2u);
}

TEST_F(SerialPortTest, WideAccessesAreSplit) {
    EXPECT_EQ(port->read(4, 4) & 0xffff, 0x6000u);
    port->write(0, 2, 0x0a41);  // 'A', then IER
    clock.advance(SerialPort::kOutputDelayNs);
    EXPECT_EQ(backend.written(), "A");
    EXPECT_EQ(read(kIer), 0x0a);
}

TEST_F(SerialPortTest, ResetSilencesTheLine) {
    write(kMcr, mcr::kOut2);
    write(kIer, ier::kTransmitEmpty);
    port->reset();
    EXPECT_FALSE(irq.level());
    EXPECT_EQ(read(kIer), 0);
}

}  // namespace
}  // namespace mynah
