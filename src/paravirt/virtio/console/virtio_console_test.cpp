#include "paravirt/virtio/console/virtio_console.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "paravirt/virtio/virtio_mmio.h"
#include "spec/virtio/device.h"
#include "testing/recording_line.h"
#include "testing/scripted_character_backend.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace virtio::console;
using testing::GuestBuffer;
using testing::GuestQueue;

// A host side with a terminal's size, where somebody comes and goes.
class Terminal final : public CharacterBackend {
  public:
    void output(std::span<const std::byte> bytes) override { stream_.output(bytes); }
    void set_sink(CharacterSink* sink) override {
        sink_ = sink;
        stream_.set_sink(sink);
    }
    void input_wanted() override { stream_.input_wanted(); }
    bool connected() const override { return connected_; }
    std::optional<TerminalSize> terminal_size() const override { return size_; }

    void attach(bool on) {
        connected_ = on;
        sink_->connected(on);
    }
    testing::ScriptedCharacterBackend stream_;
    CharacterSink* sink_ = nullptr;
    bool connected_ = true;
    std::optional<TerminalSize> size_;
};

class VirtioConsoleTest : public ::testing::Test {
  protected:
    void make(std::vector<VirtioConsolePort> ports, uint64_t features) {
        device_ = std::make_unique<VirtioConsole>(ports);
        mmio_ = std::make_unique<VirtioMmio>(*device_, view_, line_);
        driver_.emplace(*mmio_, *memory_, GuestPhys{0x1000});
        ASSERT_TRUE(driver_->negotiate(virtio::kFeatureVersion1 | features));
        for (uint16_t i = 0; i < device_->queue_count(); ++i)
            queues_.push_back(driver_->make_queue(i, 16));
        driver_->driver_ok();
    }
    void two_ports() {
        terminal_.size_ = TerminalSize{50, 160};
        make({{terminal_, true, ""}, {channel_, false, "org.test"}}, kFeatureMultiport);
    }
    // Buffers for the device to write to.
    void offer(uint16_t queue, unsigned count, uint32_t size = 64) {
        for (unsigned i = 0; i < count; ++i) {
            const GuestBuffer buffer{driver_->allocator().take(size), size, true};
            places_[queues_[queue].add({&buffer, 1}) + 100u * queue] = buffer.address;
            driver_->announce(queue, queues_[queue]);
        }
    }
    // What the device wrote into the next buffer; nothing if it used none.
    std::optional<std::string> received(uint16_t queue) {
        const auto used = queues_[queue].take_used();
        if (!used) return std::nullopt;
        std::string text(used->length, '\0');
        EXPECT_TRUE(memory_->read(places_[used->id + 100u * queue],
                                  std::as_writable_bytes(std::span(text))));
        return text;
    }
    std::string message(uint32_t port, uint16_t event, uint16_t value, std::string more = "") {
        const Control control{port, event, value};
        return std::string(reinterpret_cast<const char*>(&control), sizeof control) + more;
    }
    void send(uint16_t queue, std::string_view text) {
        const GuestPhys place = driver_->allocator().take(text.size());
        ASSERT_TRUE(memory_->write(place, std::as_bytes(std::span(text))));
        const GuestBuffer buffer{place, static_cast<uint32_t>(text.size()), false};
        queues_[queue].add({&buffer, 1});
        driver_->announce(queue, queues_[queue]);
        ASSERT_TRUE(queues_[queue].take_used());
    }
    void bring_up() {
        offer(kControlReceiveQueue, 16);
        send(kControlTransmitQueue, message(0, kDeviceReady, 1));
        EXPECT_EQ(received(kControlReceiveQueue), message(0, kPortAdd, 1));
        EXPECT_EQ(received(kControlReceiveQueue), message(1, kPortAdd, 1));
    }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, 1 << 20};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    Terminal terminal_, channel_;
    std::unique_ptr<VirtioConsole> device_;
    std::unique_ptr<VirtioMmio> mmio_;
    std::optional<testing::VirtioDriver> driver_;
    std::vector<GuestQueue> queues_;
    std::map<uint32_t, GuestPhys> places_;
};

TEST_F(VirtioConsoleTest, OneConsoleNeedsNoMessages) {
    terminal_.size_ = TerminalSize{24, 80};
    make({{terminal_, true, ""}}, kFeatureSize);
    EXPECT_EQ(driver_->read(8), 3u);
    EXPECT_EQ(driver_->config<uint16_t>(0), 80);
    EXPECT_EQ(driver_->config<uint16_t>(2), 24);
    send(1, "hello");
    EXPECT_EQ(terminal_.stream_.written(), "hello");

    terminal_.stream_.type("typed");
    EXPECT_FALSE(received(0));
    offer(0, 2);
    EXPECT_EQ(received(0), "typed");
    terminal_.stream_.type("more");
    EXPECT_EQ(received(0), "more");
}

TEST_F(VirtioConsoleTest, ALongInputIsHeldBackUntilThereAreBuffers) {
    make({{terminal_, true, ""}}, 0);
    const std::string text(ConsolePort::kPending + 1000, 'x');
    terminal_.stream_.type(text);
    EXPECT_EQ(terminal_.stream_.waiting(), 1000u);
    std::string got;
    while (got.size() < text.size()) {
        offer(0, 4, 256);
        while (const auto part = received(0)) got += *part;
    }
    EXPECT_EQ(got, text);
}

TEST_F(VirtioConsoleTest, ANewSizeIsANewConfiguration) {
    terminal_.size_ = TerminalSize{24, 80};
    make({{terminal_, true, ""}}, kFeatureSize);
    const uint32_t generation = driver_->read(0xfc);
    terminal_.size_ = TerminalSize{40, 132};
    device_->terminal_resized();
    EXPECT_NE(driver_->read(0xfc), generation);
    EXPECT_EQ(driver_->config<uint16_t>(0), 132);
    EXPECT_TRUE(line_.level());
}

TEST_F(VirtioConsoleTest, AKernelInDistressWritesWithoutAQueue) {
    make({{terminal_, true, ""}}, kFeatureEmergencyWrite);
    driver_->write(0x108, '!');
    EXPECT_EQ(terminal_.stream_.written(), "!");
}

TEST_F(VirtioConsoleTest, PortsAreMadeKnownByMessages) {
    channel_.connected_ = false;
    two_ports();
    EXPECT_EQ(driver_->config<uint32_t>(4), 2u);
    bring_up();
    send(kControlTransmitQueue, message(0, kPortReady, 1));
    EXPECT_EQ(received(kControlReceiveQueue), message(0, kConsolePort, 1));
    EXPECT_EQ(received(kControlReceiveQueue),
              message(0, kResize, 1, std::string("\xa0\0\x32\0", 4)));
    EXPECT_EQ(received(kControlReceiveQueue), message(0, kPortOpen, 1));
    send(kControlTransmitQueue, message(1, kPortReady, 1));
    EXPECT_EQ(received(kControlReceiveQueue), message(1, kPortName, 1, "org.test"));
    EXPECT_EQ(received(kControlReceiveQueue), message(1, kPortOpen, 0));
    channel_.attach(true);
    EXPECT_EQ(received(kControlReceiveQueue), message(1, kPortOpen, 1));
    channel_.attach(false);
    EXPECT_EQ(received(kControlReceiveQueue), message(1, kPortOpen, 0));
}

TEST_F(VirtioConsoleTest, AChannelHoldsInputUntilItIsOpened) {
    two_ports();
    bring_up();
    offer(4, 4);
    channel_.stream_.type("early");
    EXPECT_FALSE(received(4));
    send(kControlTransmitQueue, message(1, kPortOpen, 1));
    EXPECT_EQ(received(4), "early");
    send(5, "answer");
    EXPECT_EQ(channel_.stream_.written(), "answer");
    EXPECT_EQ(terminal_.stream_.written(), "");
    send(kControlTransmitQueue, message(1, kPortOpen, 0));
    channel_.stream_.type("late");
    EXPECT_FALSE(received(4));
}

TEST_F(VirtioConsoleTest, NonsenseIsIgnored) {
    two_ports();
    bring_up();
    send(kControlTransmitQueue, "abc");
    send(kControlTransmitQueue, message(7, kPortOpen, 1));
    send(kControlTransmitQueue, message(0, 77, 1));
    EXPECT_FALSE(received(kControlReceiveQueue));
    EXPECT_EQ(driver_->status() & virtio::kStatusNeedsReset, 0u);
}

TEST_F(VirtioConsoleTest, MessagesWaitForBuffersAndAResetForgetsThem) {
    two_ports();
    send(kControlTransmitQueue, message(0, kDeviceReady, 1));
    offer(kControlReceiveQueue, 1);
    EXPECT_EQ(received(kControlReceiveQueue), message(0, kPortAdd, 1));
    driver_->write(0x70, 0);
    channel_.attach(false);
    device_->terminal_resized();
    EXPECT_FALSE(received(kControlReceiveQueue));
}

}  // namespace
}  // namespace mynah
