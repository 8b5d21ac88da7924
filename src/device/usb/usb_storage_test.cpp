#include "device/usb/usb_storage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "device/usb/usb_board_test.h"
#include "device/usb/usb_guest_test.h"
#include "testing/memory_disk.h"

namespace mynah::testing {
namespace {

using namespace usb::storage;
using ::testing::ElementsAre;

// A host that lets the device work between tokens, at high speed.
struct StorageTest : ::testing::Test, UsbPipes, UsbHost {
    explicit StorageTest(BlockGeometry geometry = {.size = 1 << 20}) : disk(geometry) {
        for (uint64_t i = 0; i < disk.bytes().size(); ++i)
            disk.bytes()[i] = std::byte{disk_byte(i)};
        storage.plug(*this);
        storage.connect(UsbSpeed::kHigh);
        configure();
    }
    ~StorageTest() override {
        disk.release_all();
        storage.unplug();
    }

    GuestReply control(const usb::Setup& setup, const Bytes&) override {
        storage.setup(setup);
        if (setup.length == 0) return in(0, 0);
        GuestReply reply = in(0, setup.length);
        if (reply.ok()) out(0, {});
        return reply;
    }
    GuestReply in(uint8_t endpoint, uint32_t size) override {
        Bytes data;
        for (;;) {
            Bytes part(size - data.size());
            const UsbReply reply =
                storage.in(endpoint & 15, std::as_writable_bytes(std::span(part)));
            if (storage.has_work()) storage.perform();
            if (reply.status != UsbStatus::kOk) {
                const bool waits = reply.status == UsbStatus::kNak;
                if (waits && std::exchange(woken_, false)) continue;
                return {waits ? GuestStatus::kPending : GuestStatus::kStall, data};
            }
            data.insert(data.end(), part.begin(), part.begin() + reply.size);
            if (data.size() == size || reply.short_packet) return {GuestStatus::kOk, data};
        }
    }
    GuestReply out(uint8_t endpoint, const Bytes& data) override {
        size_t done = 0;
        do {
            const auto bytes = std::as_bytes(std::span(data)).subspan(done);
            const UsbReply reply = storage.out(endpoint & 15, bytes);
            if (storage.has_work()) storage.perform();
            if (reply.status == UsbStatus::kNak && std::exchange(woken_, false)) continue;
            if (reply.status == UsbStatus::kNak) return {GuestStatus::kPending, {}};
            if (reply.status != UsbStatus::kOk) return {GuestStatus::kStall, {}};
            done += reply.size;
        } while (done < data.size());
        return {};
    }
    void open(const Bytes&) override {}
    void clear_halt(uint8_t) override {}
    void wake(UsbDevice&, uint8_t) override { woken_ = true; }

    GuestReply send(uint32_t length, bool to_host, const Bytes& command) {
        CommandWrapper wrapper{};
        wrapper.signature = kCommandSignature;
        wrapper.tag = 77;
        wrapper.length = length;
        wrapper.flags = to_host ? 0x80 : 0;
        wrapper.command_length = static_cast<uint8_t>(command.size());
        std::copy(command.begin(), command.end(), wrapper.command);
        Bytes bytes(sizeof wrapper);
        std::memcpy(bytes.data(), &wrapper, sizeof wrapper);
        return out(2, bytes);
    }

    MemoryDisk disk;
    UsbStorage storage{disk,
                       {.vendor = "Maker",
                        .product = "Some Disk",
                        .serial = "00112233445566",
                        .removable = true}};
    BulkOnlyGuest bot{*this};

  private:
    bool woken_ = false;
};

TEST_F(StorageTest, InquiryAndPages) {
    const auto inquiry = bot.command_in({0x12, 0, 0, 0, 36, 0}, 36);
    ASSERT_TRUE(inquiry.passed());
    EXPECT_EQ(inquiry.data[1], 0x80);
    EXPECT_EQ(std::string(inquiry.data.begin() + 8, inquiry.data.end()),
              "Maker   Some Disk       1.0 ");
    const auto serial = bot.command_in({0x12, 1, 0x80, 0, 255, 0}, 255);
    EXPECT_TRUE(serial.passed());
    EXPECT_EQ(serial.residue, 255u - 18);
    EXPECT_EQ(std::string(serial.data.begin() + 4, serial.data.end()), "00112233445566");
    for (uint8_t page : {0x00, 0x83, 0xb0, 0xb1}) {
        const auto data = bot.command_in({0x12, 1, page, 0, 255, 0}, 255);
        EXPECT_TRUE(data.passed());
        EXPECT_EQ(data.data.size(), 4u + (data.data[2] << 8 | data.data[3])) << int{page};
    }
    EXPECT_EQ(bot.command_in({0x12, 1, 0x77, 0, 255, 0}, 255).status, kStatusFailed);
    // Why, in the sense data, once.
    auto sense = bot.command_in({0x03, 0, 0, 0, 18, 0}, 18);
    EXPECT_EQ(sense.data[2], 5);
    EXPECT_EQ(sense.data[12], 0x24);
    sense = bot.command_in({0x03, 0, 0, 0, 18, 0}, 18);
    EXPECT_EQ(sense.data[2], 0);
}

TEST_F(StorageTest, CapacityInAllForms) {
    EXPECT_THAT(bot.command_in({0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 8).data,
                ElementsAre(0, 0, 7, 0xff, 0, 0, 2, 0));
    const auto sixteen =
        bot.command_in({0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}, 32);
    EXPECT_EQ(sixteen.data[7], 0xff);
    EXPECT_EQ(bot.command_in({0x9e, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}, 32).status,
              kStatusFailed);
    EXPECT_EQ(bot.command_in({0x23, 0, 0, 0, 0, 0, 0, 0, 252, 0}, 252).data.size(), 12u);
    EXPECT_EQ(bot.command_in({0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0}, 16).data[3], 8);
    const auto mode = bot.command_in({0x1a, 0, 0x3f, 0, 192, 0}, 192);
    EXPECT_TRUE(mode.passed());
    EXPECT_EQ(mode.data.size(), mode.data[0] + 1u);
    EXPECT_EQ(mode.data[2] & 0x80, 0);
    const auto caching = bot.command_in({0x5a, 8, 8, 0, 0, 0, 0, 0, 100, 0}, 100);
    EXPECT_EQ(caching.data.at(8), 8);
    EXPECT_EQ(caching.data.at(10), 4);
    EXPECT_EQ(bot.command_in({0x1a, 0, 0x2e, 0, 192, 0}, 192).status, kStatusFailed);
    // What was read is taken back; other values are not.
    Bytes parameters = caching.data;
    parameters[0] = 0;
    const auto size = static_cast<uint8_t>(parameters.size());
    EXPECT_TRUE(bot.command_out({0x55, 0x10, 0, 0, 0, 0, 0, 0, size, 0}, parameters).passed());
    parameters[11] ^= 1;
    EXPECT_EQ(bot.command_out({0x55, 0x10, 0, 0, 0, 0, 0, 0, size, 0}, parameters).status,
              kStatusFailed);
    EXPECT_TRUE(bot.command_in({0x00, 0, 0, 0, 0, 0}, 0).passed());
    EXPECT_EQ(bot.command_in({0xfe, 0, 0, 0, 0, 0}, 0).status, kStatusFailed);
}

TEST_F(StorageTest, ReadsAndWritesInAllForms) {
    const auto check = [&](const Bytes& command, uint64_t at, uint32_t size) {
        const auto read = bot.command_in(command, size);
        EXPECT_TRUE(read.passed());
        ASSERT_EQ(read.data.size(), size);
        for (uint32_t i = 0; i < size; ++i) ASSERT_EQ(read.data[i], disk_byte(at + i));
    };
    check({0x08, 0, 0, 5, 2, 0}, 5 * 512, 1024);
    check({0x08, 0, 1, 0, 0, 0}, 256 * 512, 256 * 512);
    check({0xa8, 0, 0, 0, 0, 6, 0, 0, 1, 0x2c, 0, 0}, 6 * 512, 300 * 512);
    check({0x88, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0}, 9 * 512, 512);
    const Bytes fresh(300 * 512, 0x5a);
    EXPECT_TRUE(
        bot.command_out({0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 50, 0, 0, 1, 0x2c, 0, 0}, fresh).passed());
    EXPECT_EQ(disk.bytes()[50 * 512], std::byte{0x5a});
    EXPECT_EQ(disk.bytes()[350 * 512 - 1], std::byte{0x5a});
    EXPECT_EQ(disk.bytes()[350 * 512], std::byte{disk_byte(350 * 512)});
    EXPECT_TRUE(disk.records().back().durable);  // force unit access
    EXPECT_TRUE(bot.command_in(BulkOnlyGuest::ten(0x35, 0, 0), 0).passed());
    EXPECT_EQ(disk.records().back().operation, BlockOperation::kFlush);
    EXPECT_TRUE(bot.command_in(BulkOnlyGuest::ten(0x2f, 2000, 48), 0).passed());
    EXPECT_EQ(bot.command_in(BulkOnlyGuest::ten(0x2f, 2000, 49), 0).status, kStatusFailed);
    // Ranges that overflow.
    EXPECT_EQ(
        bot.command_in({0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2, 0, 0},
                       1024)
            .status,
        kStatusFailed);
    EXPECT_EQ(bot.command_in({0xa8, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0}, 512).status,
              kStatusFailed);
}

// The thirteen cases [BOT 6.7]: what the host expects against what the command moves.
TEST_F(StorageTest, HostAndDeviceDisagree) {
    // Hn = Dn, Hi = Di and Ho = Do are everywhere else. Hn < Di, Hn < Do:
    EXPECT_EQ(bot.command_in(BulkOnlyGuest::ten(0x28, 0, 1), 0).status, kStatusPhaseError);
    EXPECT_EQ(bot.command_in(BulkOnlyGuest::ten(0x2a, 0, 1), 0).status, kStatusPhaseError);
    // Hi > Dn:
    auto result = bot.command_in({0, 0, 0, 0, 0, 0}, 64);
    EXPECT_TRUE(result.passed());
    EXPECT_EQ(result.residue, 64u);
    // Hi > Di, where the data ends with a full packet, and where it does not:
    result = bot.command_in(BulkOnlyGuest::ten(0x28, 3, 1), 1024);
    EXPECT_TRUE(result.passed());
    EXPECT_EQ(result.residue, 512u);
    result = bot.command_in({0x12, 0, 0, 0, 36, 0}, 100);
    EXPECT_TRUE(result.passed());
    EXPECT_EQ(result.residue, 64u);
    // Hi < Di, Hi <> Do:
    EXPECT_EQ(bot.command_in(BulkOnlyGuest::ten(0x28, 3, 2), 512).status, kStatusPhaseError);
    EXPECT_EQ(bot.command_in(BulkOnlyGuest::ten(0x2a, 3, 1), 512).status, kStatusPhaseError);
    // Ho > Dn, Ho <> Di, Ho > Do, Ho < Do:
    result = bot.command_out({0, 0, 0, 0, 0, 0}, Bytes(512));
    EXPECT_TRUE(result.passed());
    EXPECT_EQ(result.residue, 512u);
    EXPECT_EQ(bot.command_out(BulkOnlyGuest::ten(0x28, 3, 1), Bytes(512)).status,
              kStatusPhaseError);
    result = bot.command_out(BulkOnlyGuest::ten(0x2a, 3, 1), Bytes(1024, 9));
    EXPECT_TRUE(result.passed());
    EXPECT_EQ(result.residue, 512u);
    EXPECT_EQ(disk.bytes()[3 * 512 + 511], std::byte{9});
    EXPECT_EQ(disk.bytes()[4 * 512], std::byte{disk_byte(4 * 512)});
    EXPECT_EQ(bot.command_out(BulkOnlyGuest::ten(0x2a, 3, 2), Bytes(512)).status,
              kStatusPhaseError);
    EXPECT_TRUE(bot.read10(9, 1).passed());
}

TEST_F(StorageTest, NonsenseNeedsResetRecovery) {
    EXPECT_EQ(out(2, Bytes(30)).status, GuestStatus::kStall);
    EXPECT_EQ(in(0x81, 13).status, GuestStatus::kStall);
    // Clearing the halts alone does not help.
    clear_feature_halt(0x81);
    EXPECT_EQ(in(0x81, 13).status, GuestStatus::kStall);
    EXPECT_TRUE(control({0x21, kBulkOnlyReset, 0, 0, 0}, {}).ok());
    EXPECT_EQ(in(0x81, 13).status, GuestStatus::kStall);
    clear_feature_halt(0x81);
    clear_feature_halt(0x02);
    EXPECT_TRUE(bot.read10(0, 1).passed());
    EXPECT_THAT(control({0xa1, kGetMaxLun, 0, 0, 1}, {}).data, ElementsAre(0));
}

TEST_F(StorageTest, ResetWhileTheDiskIsAtWork) {
    disk.hold(true);
    EXPECT_TRUE(send(512, true, BulkOnlyGuest::ten(0x28, 1, 1)).ok());
    EXPECT_EQ(in(0x81, 512).status, GuestStatus::kPending);
    EXPECT_TRUE(control({0x21, kBulkOnlyReset, 0, 0, 0}, {}).ok());
    // The next command waits until the disk gave the buffer back.
    EXPECT_EQ(send(512, true, BulkOnlyGuest::ten(0x28, 2, 1)).status, GuestStatus::kPending);
    disk.hold(false);
    disk.release_all();
    const auto read = bot.read10(2, 1);
    EXPECT_TRUE(read.passed());
    EXPECT_EQ(read.data.at(0), disk_byte(1024));
}

TEST_F(StorageTest, DiskErrorsBecomeSenseData) {
    disk.fail_with(BlockStatus::kIoError);
    auto result = bot.read10(0, 1);
    EXPECT_EQ(result.status, kStatusFailed);
    EXPECT_EQ(result.residue, 512u);
    disk.fail_with(std::nullopt);
    auto sense = bot.command_in({0x03, 0, 0, 0, 18, 0}, 18);
    EXPECT_EQ(sense.data[2], 3);
    EXPECT_EQ(sense.data[12], 0x11);
    disk.fail_with(BlockStatus::kNoSpace);
    EXPECT_EQ(bot.write10(0, Bytes(512)).status, kStatusFailed);
    disk.fail_with(std::nullopt);
    sense = bot.command_in({0x03, 0, 0, 0, 18, 0}, 18);
    EXPECT_EQ(sense.data[2], 7);
    EXPECT_TRUE(bot.read10(0, 1).passed());
}

struct ReadOnlyStorageTest : StorageTest {
    ReadOnlyStorageTest() : StorageTest({.size = 1 << 20, .read_only = true}) {}
};

TEST_F(ReadOnlyStorageTest, RefusesWrites) {
    EXPECT_EQ(bot.write10(0, Bytes(512)).status, kStatusFailed);
    const auto sense = bot.command_in({0x03, 0, 0, 0, 18, 0}, 18);
    EXPECT_EQ(sense.data[2], 7);
    EXPECT_EQ(bot.command_in({0x1a, 0, 0x3f, 0, 192, 0}, 192).data[2] & 0x80, 0x80);
    EXPECT_TRUE(bot.command_in(BulkOnlyGuest::ten(0x35, 0, 0), 0).passed());
    EXPECT_TRUE(disk.records().empty());
}

struct LargeBlockStorageTest : StorageTest {
    LargeBlockStorageTest()
        : StorageTest({.size = 1 << 20, .logical_block_size = 4096, .physical_block_size = 4096}) {}
};

TEST_F(LargeBlockStorageTest, CountsInItsBlocks) {
    EXPECT_THAT(bot.command_in({0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 8).data,
                ElementsAre(0, 0, 0, 0xff, 0, 0, 0x10, 0));
    const auto read = bot.read10(255, 1, 4096);
    EXPECT_TRUE(read.passed());
    EXPECT_EQ(read.data.at(1), disk_byte(255 * 4096 + 1));
    EXPECT_EQ(bot.read10(256, 1, 4096).status, kStatusFailed);
}

}  // namespace
}  // namespace mynah::testing
