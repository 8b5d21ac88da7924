#include "scsi/scsi_disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "backend/block/medium_job.h"
#include "scsi/target_commands.h"
#include "spec/scsi/commands.h"
#include "spec/scsi/direct_access.h"
#include "testing/memory_disk.h"

namespace mynah {
namespace {

using namespace scsi;
using Bytes = std::vector<uint8_t>;

constexpr uint64_t kBlocks = 2048;

BlockGeometry thin_geometry() {
    BlockGeometry geometry;
    geometry.size = kBlocks * 512;
    geometry.can_discard = geometry.can_write_zeroes = true;
    geometry.discard_alignment = 4096;
    geometry.max_discard_size = geometry.max_write_zeroes_size = 1 << 19;
    return geometry;
}

ScsiDiskOptions full() {
    return {.serial = "S1", .provisioning = true, .attentions = true, .queued = true};
}

// Carries commands as a host adapter does.
class ScsiDiskTest : public ::testing::Test, private MediumJobOwner {
  protected:
    explicit ScsiDiskTest(BlockGeometry geometry = thin_geometry(),
                          ScsiDiskOptions options = full())
        : disk(geometry), unit(disk, options) {
        for (size_t i = 0; i < disk.bytes().size(); ++i)
            disk.bytes()[i] = static_cast<std::byte>(i * 7 + i / 512);
        EXPECT_EQ(unit.execute(Bytes{kTestUnitReady}, data),
                  options.attentions ? kSensePowerOn : kSenseNone);
        unit.sense_told();
    }
    void job_done(MediumJob&, BlockStatus) override { FAIL(); }

    Sense run(const Bytes& cdb, const Bytes& out = {}) {
        in.clear();
        Sense sense = unit.execute(cdb, data);
        if (sense != kSenseNone) return sense;
        using Direction = DataPhase::Direction;
        Bytes moved(out);
        if (data.direction == Direction::kToHost && data.with_medium()) moved.resize(data.size);
        if (data.direction == Direction::kToHost && !data.with_medium()) in = data.buffer;
        if (data.direction == Direction::kFromHost) {
            EXPECT_GE(out.size(), data.size);
            moved.resize(data.size);
            if (!data.with_medium()) {
                data.buffer = moved;
                sense = unit.received(cdb, data);
                if (sense != kSenseNone) return sense;
            }
        }
        if (!data.work.any()) return kSenseNone;
        MediumJob job(*this);
        std::vector<Slice> slices;
        if (data.with_medium()) slices = {std::as_writable_bytes(std::span(moved))};
        if (data.repeats_buffer) slices = data.repeated();
        const auto status = job.start(data.work, slices);
        EXPECT_TRUE(status.has_value());
        sense = unit.finish(data, *status);
        if (data.work.operation == BlockOperation::kRead) in = moved;
        return sense;
    }
    static Bytes ten(uint8_t opcode, uint32_t block, uint16_t count, uint8_t flags = 0) {
        return {opcode,
                flags,
                static_cast<uint8_t>(block >> 24),
                static_cast<uint8_t>(block >> 16),
                static_cast<uint8_t>(block >> 8),
                static_cast<uint8_t>(block),
                0,
                static_cast<uint8_t>(count >> 8),
                static_cast<uint8_t>(count),
                0};
    }
    static Bytes sixteen(uint8_t opcode, uint64_t block, uint32_t count, uint8_t flags = 0) {
        Bytes cdb{opcode, flags};
        for (int i = 7; i >= 0; --i) cdb.push_back(static_cast<uint8_t>(block >> 8 * i));
        for (int i = 3; i >= 0; --i) cdb.push_back(static_cast<uint8_t>(count >> 8 * i));
        cdb.resize(16);
        return cdb;
    }
    static Bytes unmap_list(std::initializer_list<std::pair<uint64_t, uint32_t>> ranges) {
        ByteWriter list;
        list.u16(6 + 16 * ranges.size());
        list.u16(16 * ranges.size());
        list.u32(0);
        for (const auto& [block, count] : ranges) {
            list.u64(block);
            list.u32(count);
            list.u32(0);
        }
        return list.bytes();
    }
    Sense unmap(std::initializer_list<std::pair<uint64_t, uint32_t>> ranges) {
        const Bytes list = unmap_list(ranges);
        return run({kUnmap, 0, 0, 0, 0, 0, 0, static_cast<uint8_t>(list.size() >> 8),
                    static_cast<uint8_t>(list.size()), 0},
                   list);
    }
    const testing::MemoryDisk::Record last_record() { return disk.records().back(); }
    uint64_t number(size_t at, unsigned size) { return big_endian(in, at, size); }

    testing::MemoryDisk disk;
    ScsiDisk unit;
    DataPhase data;
    Bytes in;
};

TEST_F(ScsiDiskTest, AttentionsComeFirstAndOnce) {
    unit.reset();
    unit.attend(kSenseReportedLunsChanged);
    unit.attend(kSenseReportedLunsChanged);
    EXPECT_EQ(run({kInquiry, 0, 0, 0, 36}), kSenseNone);
    EXPECT_EQ(in[7] & 2, 2);  // commands are queued
    EXPECT_EQ(run(ten(kRead10, 0, 1)), kSensePowerOn);
    EXPECT_EQ(run(ten(kRead10, 0, 1)), kSenseReportedLunsChanged);
    EXPECT_EQ(run(ten(kRead10, 0, 1)), kSenseNone);
    unit.reset();
    EXPECT_EQ(run({kRequestSense, 0, 0, 0, 18}), kSenseNone);
    EXPECT_EQ(in[2], kUnitAttention);
    EXPECT_EQ(run({kTestUnitReady}), kSenseNone);
}

TEST_F(ScsiDiskTest, DurableWithoutACache) {
    const Bytes block(512, 1);
    EXPECT_EQ(run(ten(kWrite10, 4, 1), block), kSenseNone);
    EXPECT_FALSE(last_record().durable);
    EXPECT_EQ(run(ten(kWrite10, 4, 1, 8), block), kSenseNone);
    EXPECT_TRUE(last_record().durable);
    EXPECT_EQ(run(ten(kWriteAndVerify10, 4, 1), block), kSenseNone);
    EXPECT_TRUE(last_record().durable);
    // The caching page, as read, with WCE off.
    EXPECT_EQ(run({kModeSense10, 8, 8, 0, 0, 0, 0, 0, 255}), kSenseNone);
    Bytes list = in;
    EXPECT_EQ(list[10], 4);
    list[0] = list[1] = 0;
    list[10] = 0;
    const auto size = static_cast<uint8_t>(list.size());
    EXPECT_EQ(run({kModeSelect10, 0x10, 0, 0, 0, 0, 0, 0, size}, list), kSenseNone);
    EXPECT_EQ(run(ten(kWrite10, 4, 1), block), kSenseNone);
    EXPECT_TRUE(last_record().durable);
    EXPECT_EQ(run({kModeSense6, 8, 8, 0, 255}), kSenseNone);
    EXPECT_EQ(in[6], 0);
    EXPECT_EQ(run({kModeSense6, 8, 0x88, 0, 255}), kSenseNone);  // default
    EXPECT_EQ(in[6], 4);
    EXPECT_EQ(run({kModeSense6, 8, 0x48, 0, 255}), kSenseNone);  // changeable
    EXPECT_EQ(in[6], 4);
    EXPECT_EQ(std::count(in.begin() + 7, in.end(), 0), static_cast<long>(in.size()) - 7);
    // What cannot be changed, half a page, a page that is none, saving.
    list[12] = 1;
    EXPECT_EQ(run({kModeSelect10, 0x10, 0, 0, 0, 0, 0, 0, size}, list), kSenseInvalidParameter);
    list[12] = 0;
    EXPECT_EQ(run({kModeSelect10, 0x10, 0, 0, 0, 0, 0, 0, 12}, list), kSenseParameterListLength);
    list[8] = 0x19;
    EXPECT_EQ(run({kModeSelect10, 0x10, 0, 0, 0, 0, 0, 0, size}, list), kSenseInvalidParameter);
    EXPECT_EQ(run({kModeSelect10, 0x11, 0, 0, 0, 0, 0, 0, size}, list), kSenseInvalidField);
    unit.reset();
    run({kTestUnitReady});
    EXPECT_EQ(run({kModeSense6, 8, 8, 0, 255}), kSenseNone);
    EXPECT_EQ(in[6], 4);
}

TEST_F(ScsiDiskTest, BlocksLoseTheirStorage) {
    EXPECT_EQ(unmap({{8, 8}, {100, 0}, {64, 64}}), kSenseNone);
    const auto records = disk.records();
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].operation, BlockOperation::kDiscard);
    EXPECT_EQ(records[0].offset, 8u * 512);
    EXPECT_EQ(records[1].size, 64u * 512);
    EXPECT_EQ(unmap({}), kSenseNone);
    EXPECT_EQ(unmap({{8, 8}, {kBlocks - 1, 2}}), kSenseLbaOutOfRange);
    EXPECT_EQ(unmap({{~uint64_t{0}, 2}}), kSenseLbaOutOfRange);
    EXPECT_EQ(unmap({{0, 1024}, {1024, 1}}), kSenseInvalidParameter);  // above the limit told
    EXPECT_EQ(run({kUnmap, 1, 0, 0, 0, 0, 0, 0, 24}, Bytes(24)), kSenseInvalidField);
    EXPECT_EQ(run({kUnmap, 0, 0, 0, 0, 0, 0, 0, 7}, Bytes(7)), kSenseParameterListLength);
    // Lengths that say more than there is.
    Bytes list = unmap_list({{0, 8}});
    list[2] = 0xff;
    EXPECT_EQ(run({kUnmap, 0, 0, 0, 0, 0, 0, 0, 24}, list), kSenseNone);
    EXPECT_EQ(disk.records().size(), 3u);
}

TEST_F(ScsiDiskTest, BlocksThatAreAllTheSame) {
    Bytes zero(512);
    EXPECT_EQ(run(sixteen(kWriteSame16, 8, 16, 8), zero), kSenseNone);
    EXPECT_EQ(last_record().operation, BlockOperation::kWriteZeroes);
    EXPECT_TRUE(last_record().may_unmap);
    EXPECT_EQ(run(sixteen(kWriteSame16, 8, 2000, 1)), kSenseNone);  // no data; in two parts
    EXPECT_FALSE(last_record().may_unmap);
    EXPECT_EQ(disk.records().size(), 3u);
    Bytes pattern(512);
    for (size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<uint8_t>(i);
    EXPECT_EQ(run(ten(kWriteSame10, 10, 301), pattern), kSenseNone);
    EXPECT_EQ(last_record().operation, BlockOperation::kWrite);
    for (size_t block = 10; block < 311; ++block)
        ASSERT_EQ(std::memcmp(disk.bytes().data() + block * 512, pattern.data(), 512), 0) << block;
    EXPECT_EQ(disk.bytes()[311 * 512 + 1], std::byte{0});
    EXPECT_EQ(run(ten(kWriteSame10, 10, 0), pattern), kSenseInvalidField);
    EXPECT_EQ(run(sixteen(kWriteSame16, kBlocks - 1, 2), pattern), kSenseLbaOutOfRange);
    EXPECT_EQ(run(sixteen(kWriteSame16, 0, 0x7fffffff), pattern), kSenseInvalidField);
    EXPECT_EQ(run(sixteen(kWriteSame16, 0, 1, 0x10), pattern), kSenseInvalidField);
}

TEST_F(ScsiDiskTest, PagesTellTheLimits) {
    EXPECT_EQ(run({kInquiry, 1, 0, 0, 255}), kSenseNone);
    EXPECT_EQ(Bytes(in.begin() + 4, in.end()), (Bytes{0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2}));
    for (const uint8_t page : {0x80, 0x83, 0xb0, 0xb1, 0xb2}) {
        EXPECT_EQ(run({kInquiry, 1, page, 0, 255}), kSenseNone);
        EXPECT_EQ(number(2, 2) + 4, in.size());
    }
    EXPECT_EQ(in[5], 0xe0);
    EXPECT_EQ(run({kInquiry, 1, 0xb0, 0, 255}), kSenseNone);
    EXPECT_EQ(in.size(), 64u);
    EXPECT_EQ(number(20, 4), 1024u);
    EXPECT_EQ(number(24, 4), ScsiDisk::kMaxUnmapDescriptors);
    EXPECT_EQ(number(28, 4), 8u);
    EXPECT_EQ(number(36, 8), ScsiDisk::kMaxWriteSame / 512);
    EXPECT_EQ(run({kServiceActionIn16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32}), kSenseNone);
    EXPECT_EQ(number(0, 8), kBlocks - 1);
    EXPECT_EQ(in[14], 0x80);
}

TEST_F(ScsiDiskTest, ListsItsCommands) {
    EXPECT_EQ(run({kMaintenanceIn, 0x0c, 0, 0, 0, 0, 0, 1, 0, 0}), kSenseNone);
    EXPECT_EQ(number(0, 4) + 4, in.size());
    EXPECT_EQ((in.size() - 4) % 8, 0u);
    // Each of them is there when asked for by itself, with as long a mask as it says.
    const Bytes all = in;
    for (size_t at = 4; at < all.size(); at += 8) {
        const bool acts = (all[at + 5] & 1) != 0;
        EXPECT_EQ(run({kMaintenanceIn, 0x0c, static_cast<uint8_t>(acts ? 2 : 1), all[at],
                       all[at + 2], all[at + 3], 0, 0, 1, 0}),
                  kSenseNone);
        EXPECT_EQ(in[1], 3) << int{all[at]};
        EXPECT_EQ(number(2, 2), all[at + 7]);
        EXPECT_EQ(in.size(), 4u + all[at + 7]);
        EXPECT_EQ(in[4], all[at]);
    }
    EXPECT_EQ(run({kMaintenanceIn, 0x0c, 1, 0x5e, 0, 0, 0, 0, 1, 0}), kSenseNone);
    EXPECT_EQ(in[1], 1);
    EXPECT_EQ(run({kMaintenanceIn, 0x0c, 0x81, kUnmap, 0, 0, 0, 0, 1, 0}), kSenseNone);
    EXPECT_EQ(in[1], 0x83);
    EXPECT_EQ(in.size(), 4u + 10 + 12);
    EXPECT_EQ(run({kMaintenanceIn, 0x0c, 1, kServiceActionIn16, 0, 0, 0, 0, 1, 0}),
              kSenseInvalidField);
    EXPECT_EQ(run({kMaintenanceIn, 0x0d}), kSenseInvalidField);
    EXPECT_EQ(run({0x5e}), kSenseInvalidOpcode);
}

TEST_F(ScsiDiskTest, TransfersNameTheMedium) {
    EXPECT_EQ(run(sixteen(kRead16, 5, 3)), kSenseNone);
    EXPECT_EQ(in.size(), 3u * 512);
    EXPECT_EQ(in[1], static_cast<uint8_t>(disk.bytes()[5 * 512 + 1]));
    EXPECT_EQ(run({kRead12, 0, 0, 0, 0, 9, 0, 0, 0, 2}), kSenseNone);
    EXPECT_EQ(in.size(), 1024u);
    EXPECT_EQ(run(sixteen(kRead16, ~uint64_t{0}, 2)), kSenseLbaOutOfRange);
    EXPECT_EQ(run(ten(kVerify10, 0, kBlocks)), kSenseNone);
    EXPECT_EQ(run(ten(kVerify10, 0, kBlocks, 2)), kSenseInvalidField);
    EXPECT_EQ(run(ten(kSynchronizeCache10, 0, 0)), kSenseNone);
    EXPECT_EQ(last_record().operation, BlockOperation::kFlush);
    disk.fail_with(BlockStatus::kNoSpace);
    EXPECT_EQ(run(ten(kWrite10, 0, 1), Bytes(512)), scsi::disk::kSenseSpaceExhausted);
    disk.fail_with(BlockStatus::kIoError);
    EXPECT_EQ(run(ten(kRead10, 0, 1)), kSenseUnrecoveredRead);
}

struct PlainDiskTest : ScsiDiskTest {
    PlainDiskTest() : ScsiDiskTest({.size = kBlocks * 512}, {}) {}
};

TEST_F(PlainDiskTest, HasNoProvisioning) {
    EXPECT_EQ(run({kInquiry, 1, 0xb2, 0, 255}), kSenseInvalidField);
    EXPECT_EQ(unmap({{0, 8}}), kSenseInvalidOpcode);
    EXPECT_EQ(run(ten(kWriteSame10, 0, 1), Bytes(512)), kSenseInvalidOpcode);
    EXPECT_EQ(run({kMaintenanceIn, 0x0c, 1, kUnmap, 0, 0, 0, 0, 1, 0}), kSenseNone);
    EXPECT_EQ(in[1], 1);
    unit.attend(kSenseReportedLunsChanged);  // its hosts do not expect any
    EXPECT_EQ(run({kTestUnitReady}), kSenseNone);
}

TEST(TargetCommands, TheTargetAnswers) {
    DataPhase data;
    const std::vector<uint64_t> luns{uint64_t{5} << 48, 0};
    EXPECT_EQ(report_luns(Bytes{kReportLuns, 0, 0, 0, 0, 0, 0, 0, 0, 255}, luns, data), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 24u);
    EXPECT_EQ(data.buffer[3], 16);
    EXPECT_EQ(data.buffer[17], 5);
    EXPECT_EQ(report_luns(Bytes{kReportLuns, 0, 1, 0, 0, 0, 0, 0, 0, 255}, luns, data), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 8u);
    EXPECT_EQ(report_luns(Bytes{kReportLuns, 0, 9}, luns, data), kSenseInvalidField);
    EXPECT_EQ(execute_for_absent_unit(Bytes{kInquiry, 0, 0, 0, 96}, false, data), kSenseNone);
    EXPECT_EQ(data.buffer.size(), 36u);
    EXPECT_EQ(data.buffer[0], 0x7f);
    EXPECT_EQ(execute_for_absent_unit(Bytes{kInquiry, 0, 0, 0, 96}, true, data), kSenseNone);
    EXPECT_EQ(data.buffer[0], 0x3f);
    EXPECT_EQ(execute_for_absent_unit(Bytes{kTestUnitReady}, true, data), kSenseLunNotSupported);
    EXPECT_EQ(execute_for_absent_unit(Bytes{kRequestSense, 0, 0, 0, 18}, true, data), kSenseNone);
    EXPECT_EQ(data.buffer[12], 0x25);
}

}  // namespace
}  // namespace mynah
