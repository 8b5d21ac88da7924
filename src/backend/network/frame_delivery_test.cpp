#include "backend/network/frame_delivery.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "testing/recording_network_sink.h"

namespace mynah {
namespace {

std::vector<std::byte> frame_of(uint32_t number) {
    std::vector<std::byte> bytes(60);
    for (unsigned i = 0; i < 4; ++i) bytes[i] = static_cast<std::byte>(number >> (8 * i));
    return bytes;
}
uint32_t number_of(std::span<const std::byte> bytes) {
    uint32_t number = 0;
    for (unsigned i = 0; i < 4; ++i) number |= static_cast<uint32_t>(bytes[i]) << (8 * i);
    return number;
}

TEST(FrameDeliveryTest, DropsWhatNobodyWants) {
    FrameDelivery delivery;
    EXPECT_FALSE(delivery.push(frame_of(1)));
    EXPECT_FALSE(delivery.deliver(100));
}

TEST(FrameDeliveryTest, KeepsFramesBackUntilThereIsRoom) {
    FrameDelivery delivery;
    testing::RecordingNetworkSink sink;
    delivery.set_sink(&sink);
    sink.set_room(3);
    for (uint32_t i = 0; i < 100; ++i) EXPECT_TRUE(delivery.push(frame_of(i)));
    EXPECT_FALSE(delivery.deliver(1000));  // blocked: nothing more to be done
    EXPECT_EQ(sink.received(), 3u);
    EXPECT_EQ(delivery.waiting(), 97u);
    EXPECT_FALSE(delivery.deliver(1000));
    sink.set_room(1000);
    delivery.ready();
    EXPECT_FALSE(delivery.deliver(1000));
    for (uint32_t i = 0; i < 100; ++i) EXPECT_EQ(number_of(sink.take()->bytes), i);
    delivery.set_sink(nullptr);
}

TEST(FrameDeliveryTest, StopsAtItsLimit) {
    FrameDelivery delivery;
    testing::RecordingNetworkSink sink;
    delivery.set_sink(&sink);
    for (uint32_t i = 0; i < 1000; ++i) EXPECT_TRUE(delivery.push(frame_of(i)));
    EXPECT_TRUE(delivery.deliver(100));
    EXPECT_LT(sink.received(), 200u);
    EXPECT_FALSE(delivery.deliver(10000));
    EXPECT_EQ(sink.received(), 1000u);
}

TEST(FrameDeliveryTest, IsBounded) {
    FrameDelivery delivery;
    testing::RecordingNetworkSink sink;
    delivery.set_sink(&sink);
    size_t taken = 0;
    for (uint32_t i = 0; i < 2 * FrameDelivery::kMostWaiting; ++i) {
        taken += delivery.push(frame_of(i)) ? 1 : 0;
    }
    EXPECT_EQ(taken, FrameDelivery::kMostWaiting);
}

// A card that calls itself ready from within receive(), as one does whose driver is quick.
class EagerSink final : public NetworkSink {
  public:
    explicit EagerSink(FrameDelivery& delivery) : delivery_(delivery) {}
    size_t receive(std::span<const NetworkFrame> frames) override {
        delivery_.ready();
        if (refusals_++ % 2 == 0) return 0;
        seen += frames.size();
        return frames.size();
    }
    void transmit_ready() override {}
    void link_changed(bool) override {}
    size_t seen = 0;

  private:
    FrameDelivery& delivery_;
    int refusals_ = 0;
};

TEST(FrameDeliveryTest, DoesNotMissReadinessDuringACall) {
    FrameDelivery delivery;
    EagerSink sink(delivery);
    delivery.set_sink(&sink);
    for (uint32_t i = 0; i < 10; ++i) EXPECT_TRUE(delivery.push(frame_of(i)));
    EXPECT_FALSE(delivery.deliver(1000));
    EXPECT_EQ(sink.seen, 10u);
}

TEST(FrameDeliveryTest, KeepsOrderBetweenThreads) {
    constexpr uint32_t kFrames = 20000;
    FrameDelivery delivery;
    testing::RecordingNetworkSink sink;
    delivery.set_sink(&sink);
    std::atomic<bool> done{false};
    std::thread helper([&] {
        while (!done) (void)delivery.deliver(50);
    });
    for (uint32_t i = 0; i < kFrames;) {
        if (delivery.push(frame_of(i))) ++i;
        (void)delivery.deliver(50);
    }
    while (delivery.deliver(1000) || delivery.waiting() > 0) {
    }
    done = true;
    helper.join();
    delivery.set_sink(nullptr);
    ASSERT_EQ(sink.received(), kFrames);
    for (uint32_t i = 0; i < kFrames; ++i) ASSERT_EQ(number_of(sink.take()->bytes), i);
}

}  // namespace
}  // namespace mynah
