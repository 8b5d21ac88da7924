#include "paravirt/virtio/gpu/virtio_gpu.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "paravirt/virtio/virtio_mmio.h"
#include "spec/virtio/device.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace virtio::gpu;
using testing::GuestBuffer;

constexpr uint64_t kRam = 8 << 20;

class VirtioGpuTest : public ::testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(driver_.negotiate(virtio::kFeatureVersion1 | virtio::kFeatureIndirectDesc |
                                      gpu_.features()));
        control_.emplace(driver_.make_queue(kControlQueue, 64));
        cursor_.emplace(driver_.make_queue(kCursorQueue));
        driver_.driver_ok();
    }
    GuestPhys put(const void* from, size_t size) {
        const GuestPhys place = driver_.allocator().take(size);
        EXPECT_TRUE(memory_->write(place, {static_cast<const std::byte*>(from), size}));
        return place;
    }
    // The answer's bytes; rest: what follows the command's structure.
    template <typename Command>
    std::vector<std::byte> ask(uint32_t type, Command command,
                               const std::vector<MemoryEntry>& rest = {}, size_t room = 2048) {
        command.header.type = type;
        const GuestPhys answer = driver_.allocator().take(room);
        std::vector<GuestBuffer> buffers{{put(&command, sizeof command), sizeof command, false}};
        if (!rest.empty()) {
            const size_t size = rest.size() * sizeof(MemoryEntry);
            buffers.push_back({put(rest.data(), size), static_cast<uint32_t>(size), false});
        }
        buffers.push_back({answer, static_cast<uint32_t>(room), true});
        control_->add(buffers, true);
        driver_.announce(kControlQueue, *control_);
        const auto used = control_->take_used();
        EXPECT_TRUE(used.has_value());
        std::vector<std::byte> bytes(used ? used->length : 0);
        EXPECT_TRUE(memory_->read(answer, bytes));
        return bytes;
    }
    template <typename Command>
    uint32_t type_of(uint32_t type, const Command& command,
                     const std::vector<MemoryEntry>& rest = {}) {
        const auto answer = ask(type, command, rest);
        EXPECT_GE(answer.size(), sizeof(Header));
        Header header{};
        if (answer.size() >= sizeof header) std::memcpy(&header, answer.data(), sizeof header);
        return header.type;
    }
    uint32_t create(uint32_t number, uint32_t width, uint32_t height, uint32_t format = kB8G8R8X8) {
        return type_of(kResourceCreate2d, ResourceCreate2d{{}, number, format, width, height});
    }
    uint32_t attach(uint32_t number, const std::vector<MemoryEntry>& entries) {
        const auto count = static_cast<uint32_t>(entries.size());
        return type_of(kResourceAttachBacking, AttachBacking{{}, number, count}, entries);
    }
    uint32_t transfer(uint32_t number, Rectangle part, uint64_t offset = 0) {
        return type_of(kTransferToHost2d, TransferToHost2d{{}, part, offset, number, 0});
    }
    uint32_t scanout(uint32_t number, Rectangle part) {
        return type_of(kSetScanout, SetScanout{{}, part, 0, number});
    }
    uint32_t flush(uint32_t number, Rectangle part) {
        return type_of(kResourceFlush, ResourceFlush{{}, part, number, 0});
    }
    uint32_t unref(uint32_t number) { return type_of(kResourceUnref, ResourceOnly{{}, number, 0}); }
    void move(uint32_t type, uint32_t x, uint32_t y, uint32_t resource = 0) {
        const Cursor command{{type, 0, 0, 0, 0, {}}, 0, x, y, 0, resource, 0, 0, 0};
        const GuestBuffer buffer{put(&command, sizeof command), sizeof command, false};
        cursor_->add({&buffer, 1});
        driver_.announce(kCursorQueue, *cursor_);
        EXPECT_TRUE(cursor_->take_used().has_value());
    }
    // A picture of that size on the screen, with a backing of its own.
    GuestPhys show(uint32_t number, uint32_t width, uint32_t height) {
        const uint32_t bytes = width * height * kPixelBytes;
        const GuestPhys place = driver_.allocator().take(bytes, 4096);
        EXPECT_EQ(create(number, width, height), kOkNoData);
        EXPECT_EQ(attach(number, {{place.value, bytes, 0}}), kOkNoData);
        EXPECT_EQ(scanout(number, {0, 0, width, height}), kOkNoData);
        return place;
    }
    std::vector<Rect> refresh() {
        std::vector<Rect> changed;
        gpu_.refresh(surface_, changed);
        return changed;
    }
    void store(GuestPhys at, uint32_t pixel) { EXPECT_TRUE(memory_->store(at, pixel)); }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, kRam};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    VirtioGpu gpu_{Monitor{}};
    VirtioMmio mmio_{gpu_, view_, line_};
    testing::VirtioDriver driver_{mmio_, *memory_, GuestPhys{0x1000}};
    std::optional<testing::GuestQueue> control_, cursor_;
    Surface surface_;
};

struct Plain {
    Header header;
};

TEST_F(VirtioGpuTest, IsDevice16WithOneScanout) {
    EXPECT_EQ(driver_.read(8), 16u);
    EXPECT_EQ(driver_.config<uint32_t>(offsetof(Config, scanouts)), 1u);
    EXPECT_EQ(driver_.config<uint32_t>(offsetof(Config, capability_sets)), 0u);
    DisplayInfo info{};
    const auto answer = ask(kGetDisplayInfo, Plain{});
    ASSERT_EQ(answer.size(), sizeof info);
    std::memcpy(&info, answer.data(), sizeof info);
    EXPECT_EQ(info.header.type, kOkDisplayInfo);
    EXPECT_EQ(info.modes[0].enabled, 1u);
    EXPECT_EQ(info.modes[0].place.width, 1280u);
    EXPECT_EQ(info.modes[0].place.height, 800u);
    EXPECT_EQ(info.modes[1].enabled, 0u);
}

TEST_F(VirtioGpuTest, GivesTheMonitorsEdid) {
    Edid edid{};
    const auto answer = ask(kGetEdid, GetEdid{});
    ASSERT_EQ(answer.size(), sizeof edid);
    std::memcpy(&edid, answer.data(), sizeof edid);
    EXPECT_EQ(edid.header.type, kOkEdid);
    ASSERT_EQ(edid.size, 128u);
    EXPECT_EQ(std::memcmp(edid.edid, make_edid(Monitor{}).data(), 128), 0);
    EXPECT_EQ(type_of(kGetEdid, GetEdid{{}, 1, 0}), kErrInvalidScanout);
}

TEST_F(VirtioGpuTest, ShowsWhatWasTransferredAndFlushed) {
    EXPECT_FALSE(gpu_.shows());
    const GuestPhys place = show(1, 100, 50);
    EXPECT_TRUE(gpu_.shows());
    refresh();
    EXPECT_EQ(surface_.width(), 100u);
    EXPECT_EQ(surface_.height(), 50u);
    const GuestPhys pixel = place + (40 * 100 + 70) * 4;
    store(pixel, 0xff123456);
    EXPECT_EQ(transfer(1, {70, 40, 1, 1}, (40 * 100 + 70) * 4), kOkNoData);
    EXPECT_TRUE(refresh().empty()) << "it was not flushed";
    EXPECT_EQ(flush(1, {70, 40, 1, 1}), kOkNoData);
    const auto changed = refresh();
    ASSERT_EQ(changed.size(), 1u);
    EXPECT_LE(changed[0].x, 70u);
    EXPECT_LT(changed[0].width, 100u) << "only a part";
    EXPECT_EQ(surface_.at(70, 40), 0x123456u);
    EXPECT_EQ(surface_.at(71, 40), 0u);
}

TEST_F(VirtioGpuTest, ABackingMayLieInPieces) {
    ASSERT_EQ(create(1, 4, 4), kOkNoData);
    std::vector<MemoryEntry> entries;
    for (uint32_t i = 0; i < 8; ++i) {  // pieces of two pixels, the last ones first
        const uint32_t address = 0x200000 + (8 - i) * 0x1000;
        entries.push_back({address, 8, 0});
        store(GuestPhys(address), 2 * i);
        store(GuestPhys(address + 4), 2 * i + 1);
    }
    ASSERT_EQ(attach(1, entries), kOkNoData);
    EXPECT_EQ(attach(1, entries), kErrUnspecified) << "it has one";
    ASSERT_EQ(transfer(1, {0, 0, 4, 4}), kOkNoData);
    ASSERT_EQ(scanout(1, {1, 1, 3, 2}), kOkNoData);
    refresh();
    ASSERT_EQ(surface_.width(), 3u);
    ASSERT_EQ(surface_.height(), 2u);
    for (uint32_t y = 0; y < 2; ++y) {
        for (uint32_t x = 0; x < 3; ++x) EXPECT_EQ(surface_.at(x, y), (y + 1) * 4 + x + 1);
    }
}

TEST_F(VirtioGpuTest, KnowsAllFormats) {
    const std::array<std::pair<uint32_t, std::array<uint8_t, 4>>, 8> formats{{
        {kB8G8R8A8, {3, 2, 1, 9}},
        {kB8G8R8X8, {3, 2, 1, 9}},
        {kA8R8G8B8, {9, 1, 2, 3}},
        {kX8R8G8B8, {9, 1, 2, 3}},
        {kR8G8B8A8, {1, 2, 3, 9}},
        {kR8G8B8X8, {1, 2, 3, 9}},
        {kX8B8G8R8, {9, 3, 2, 1}},
        {kA8B8G8R8, {9, 3, 2, 1}},
    }};
    for (uint32_t i = 0; i < formats.size(); ++i) {
        const auto& [format, bytes] = formats[i];
        const GuestPhys place = put(bytes.data(), bytes.size());
        ASSERT_EQ(create(i + 1, 1, 1, format), kOkNoData);
        ASSERT_EQ(attach(i + 1, {{place.value, 4, 0}}), kOkNoData);
        ASSERT_EQ(transfer(i + 1, {0, 0, 1, 1}), kOkNoData);
        ASSERT_EQ(scanout(i + 1, {0, 0, 1, 1}), kOkNoData);
        refresh();
        EXPECT_EQ(surface_.at(0, 0), 0x010203u) << format;
    }
    EXPECT_EQ(create(50, 1, 1, 5), kErrInvalidParameter);
}

TEST_F(VirtioGpuTest, ABlobIsShownFromTheGuestsMemory) {
    const GuestPhys place = driver_.allocator().take(64 * 1024, 4096);
    const ResourceCreateBlob blob{{}, 7, kBlobGuest, 0, 1, 0, 64 * 1024};
    ASSERT_EQ(type_of(kResourceCreateBlob, blob, {{place.value, 64 * 1024, 0}}), kOkNoData);
    EXPECT_EQ(scanout(7, {0, 0, 10, 10}), kErrInvalidResource) << "its format is not known";
    SetScanoutBlob set{{}, {0, 0, 100, 100}, 0, 7, 100, 100, kB8G8R8X8, 0, {512}, {4096}};
    ASSERT_EQ(type_of(kSetScanoutBlob, set), kOkNoData);
    refresh();
    store(place + 4096 + 99 * 512 + 99 * 4, 0xabcdef);
    ASSERT_EQ(flush(7, {0, 0, 100, 100}), kOkNoData);
    refresh();
    EXPECT_EQ(surface_.at(99, 99), 0xabcdefu);
    set.height = 121;  // its last row would end at 4096 + 120 * 512 + 400 > 65536
    EXPECT_EQ(type_of(kSetScanoutBlob, set), kErrInvalidParameter);
    set.height = 100;
    set.strides[0] = 399;
    EXPECT_EQ(type_of(kSetScanoutBlob, set), kErrInvalidParameter);
    ResourceCreateBlob other = blob;
    other.resource = 8;
    other.memory = 2;
    EXPECT_EQ(type_of(kResourceCreateBlob, other, {{place.value, 64 * 1024, 0}}),
              kErrInvalidParameter)
        << "blobs of 3D";
    other.memory = kBlobGuest;
    other.size = 64 * 1024 + 1;
    EXPECT_EQ(type_of(kResourceCreateBlob, other, {{place.value, 64 * 1024, 0}}),
              kErrInvalidParameter);
}

TEST_F(VirtioGpuTest, ABlobOutsideOfMemoryIsBlack) {
    const ResourceCreateBlob blob{{}, 7, kBlobGuest, 0, 1, 0, 4096};
    ASSERT_EQ(type_of(kResourceCreateBlob, blob, {{kRam, 4096, 0}}), kOkNoData);
    const SetScanoutBlob set{{}, {0, 0, 16, 16}, 0, 7, 16, 16, kB8G8R8X8, 0, {64}, {0}};
    ASSERT_EQ(type_of(kSetScanoutBlob, set), kOkNoData);
    refresh();
    EXPECT_EQ(surface_.at(3, 3), 0u);
}

TEST_F(VirtioGpuTest, TheCursorLiesOverThePicture) {
    const GuestPhys picture = show(1, 128, 128);
    store(picture, 0);
    const GuestPhys image = driver_.allocator().take(64 * 64 * 4, 4096);
    for (uint32_t i = 0; i < 64 * 64; ++i) store(image + i * 4, i == 65 ? 0xffaabbcc : 0x00000000);
    ASSERT_EQ(create(2, 64, 64, kB8G8R8A8), kOkNoData);
    ASSERT_EQ(attach(2, {{image.value, 64 * 64 * 4, 0}}), kOkNoData);
    ASSERT_EQ(transfer(2, {0, 0, 64, 64}), kOkNoData);
    move(kUpdateCursor, 10, 20, 2);
    refresh();
    EXPECT_EQ(surface_.at(11, 21), 0xaabbccu);
    move(kMoveCursor, 30, 20);
    refresh();
    EXPECT_EQ(surface_.at(11, 21), 0u);
    EXPECT_EQ(surface_.at(31, 21), 0xaabbccu);
    move(kMoveCursor, static_cast<uint32_t>(-1), static_cast<uint32_t>(-1));
    refresh();
    EXPECT_EQ(surface_.at(0, 0), 0xaabbccu);
    for (const uint32_t far : {0x7fffffffu, 0x80000000u, 128u}) move(kMoveCursor, far, far);
    move(kUpdateCursor, 5, 5, 0);
    refresh();
    EXPECT_EQ(surface_.at(6, 6), 0u);
}

TEST_F(VirtioGpuTest, HalfTransparentPixelsBlend) {
    GpuScreen screen;
    GpuResources resources;
    ASSERT_EQ(resources.create(1, kB8G8R8X8, 64, 64), GpuResources::Made::kYes);
    std::memset(resources.find(1)->pixels.data(), 0x80, 64 * 64 * 4);
    screen.show(1, {kB8G8R8X8, 64, 64, 256, 0}, {0, 0, 64, 64});
    screen.set_cursor(std::vector<uint32_t>(64 * 64, 0x80402010));
    std::vector<Rect> changed;
    screen.draw(resources, &view_, {}, surface_, changed);
    // 80h * (255 - 80h) / 255 is 63, and the cursor's colours are multiplied already.
    EXPECT_EQ(surface_.at(9, 9), (0x40u + 63) << 16 | (0x20u + 63) << 8 | (0x10u + 63));
}

TEST_F(VirtioGpuTest, AnotherDisplaySizeIsAnEvent) {
    EXPECT_TRUE(gpu_.request_size(1601, 900));
    EXPECT_TRUE(line_.level());
    EXPECT_EQ(driver_.config<uint32_t>(offsetof(Config, events_read)), kEventDisplay);
    driver_.write(0x100 + offsetof(Config, events_clear), kEventDisplay);
    EXPECT_EQ(driver_.config<uint32_t>(offsetof(Config, events_read)), 0u);
    DisplayInfo info{};
    const auto answer = ask(kGetDisplayInfo, Plain{});
    std::memcpy(&info, answer.data(), sizeof info);
    EXPECT_EQ(info.modes[0].place.width, 1600u) << "even, as the EDID says";
    EXPECT_EQ(info.modes[0].place.height, 900u);
    EXPECT_TRUE(gpu_.request_size(1, 100000));
    const auto clamped = ask(kGetDisplayInfo, Plain{});
    std::memcpy(&info, clamped.data(), sizeof info);
    EXPECT_EQ(info.modes[0].place.width, VirtioGpu::kSideLeast);
    EXPECT_EQ(info.modes[0].place.height, VirtioGpu::kSideMost);
}

TEST_F(VirtioGpuTest, FencesAreTold) {
    Plain command{};
    command.header.flags = kFlagFence;
    command.header.fence = 0x1122334455667788;
    command.header.context = 3;
    Header header{};
    const auto answer = ask(kGetDisplayInfo, command);
    std::memcpy(&header, answer.data(), sizeof header);
    EXPECT_EQ(header.flags, kFlagFence);
    EXPECT_EQ(header.fence, 0x1122334455667788u);
    EXPECT_EQ(header.context, 3u);
}

TEST_F(VirtioGpuTest, RefusesWhatIsWrong) {
    ASSERT_EQ(create(1, 10, 10), kOkNoData);
    EXPECT_EQ(create(1, 10, 10), kErrInvalidResource) << "taken";
    EXPECT_EQ(create(0, 10, 10), kErrInvalidResource);
    EXPECT_EQ(create(2, 0, 10), kErrInvalidParameter);
    EXPECT_EQ(create(2, 16385, 1), kErrInvalidParameter);
    EXPECT_EQ(transfer(1, {0, 0, 10, 10}), kErrUnspecified) << "no backing";
    ASSERT_EQ(attach(1, {{0x300000, 400, 0}}), kOkNoData);
    EXPECT_EQ(transfer(1, {1, 0, 10, 10}), kErrInvalidParameter);
    EXPECT_EQ(transfer(1, {0xffffffff, 0, 2, 1}), kErrInvalidParameter);
    EXPECT_EQ(transfer(1, {0, 0, 10, 10}, 4), kErrInvalidParameter) << "beyond the backing";
    EXPECT_EQ(transfer(1, {0, 0, 10, 10}, ~0ull), kErrInvalidParameter);
    EXPECT_EQ(transfer(9, {0, 0, 1, 1}), kErrInvalidResource);
    EXPECT_EQ(scanout(1, {0, 0, 11, 10}), kErrInvalidParameter);
    EXPECT_EQ(scanout(1, {0, 0, 0, 10}), kErrInvalidParameter);
    EXPECT_EQ(scanout(9, {0, 0, 1, 1}), kErrInvalidResource);
    EXPECT_EQ(type_of(kSetScanout, SetScanout{{}, {0, 0, 1, 1}, 1, 1}), kErrInvalidScanout);
    EXPECT_EQ(flush(9, {0, 0, 1, 1}), kErrInvalidResource);
    EXPECT_EQ(unref(9), kErrInvalidResource);
    EXPECT_EQ(type_of(0x200, Plain{}), kErrUnspecified) << "3D";
    EXPECT_EQ(type_of(kResourceCreate2d, Plain{}), kErrInvalidParameter) << "too short";
    EXPECT_EQ(type_of(kResourceAttachBacking, AttachBacking{{}, 1, 0xffffffff}), kErrUnspecified);
    EXPECT_EQ(create(3, 1, 1), kOkNoData);
    EXPECT_EQ(type_of(kResourceAttachBacking, AttachBacking{{}, 3, 0xffffffff}),
              kErrInvalidParameter);
    EXPECT_EQ(attach(3, {{kRam, 4, 0}}), kOkNoData) << "memory is looked up when it is used";
    EXPECT_EQ(transfer(3, {0, 0, 1, 1}), kErrUnspecified);
    const auto little = ask(kGetDisplayInfo, Plain{}, {}, 8);
    EXPECT_EQ(little.size(), 8u) << "as much as there is room for";
}

TEST_F(VirtioGpuTest, TakesABoundedPartOfTheHostsMemory) {
    // 64 MiB each, of 256.
    for (uint32_t i = 1; i <= 4; ++i) ASSERT_EQ(create(i, 4096, 4096), kOkNoData);
    EXPECT_EQ(create(5, 1, 1), kErrOutOfMemory);
    EXPECT_EQ(attach(4, {{0x300000, 400, 0}}), kErrOutOfMemory);
    ASSERT_EQ(unref(2), kOkNoData);
    EXPECT_EQ(create(5, 1, 1), kOkNoData);
    GpuResources resources;
    for (uint32_t i = 1; i <= GpuResources::kMost; ++i)
        ASSERT_EQ(resources.create(i, kB8G8R8X8, 1, 1), GpuResources::Made::kYes);
    EXPECT_EQ(resources.create(20000, kB8G8R8X8, 1, 1), GpuResources::Made::kNoRoom);
    ASSERT_TRUE(resources.attach(*resources.find(7),
                                 GpuBacking(std::vector<MemoryEntry>(100, MemoryEntry{0, 4, 0}))));
    for (uint32_t i = 1; i <= GpuResources::kMost; ++i) ASSERT_TRUE(resources.remove(i));
    EXPECT_EQ(resources.bytes(), 0u);
}

TEST_F(VirtioGpuTest, WhatIsShownMayGoAway) {
    const GuestPhys place = show(1, 64, 64);
    store(place, 0xffffff);
    transfer(1, {0, 0, 64, 64});
    refresh();
    EXPECT_EQ(surface_.at(0, 0), 0xffffffu);
    ASSERT_EQ(unref(1), kOkNoData);
    refresh();
    EXPECT_EQ(surface_.width(), 1280u) << "a blank screen of the monitor's size";
    EXPECT_EQ(surface_.at(0, 0), 0u);
    show(2, 64, 64);
    refresh();
    driver_.write(0x70, 0);
    EXPECT_FALSE(gpu_.shows());
    refresh();
    EXPECT_EQ(surface_.width(), 1280u);
    EXPECT_TRUE(refresh().empty());
}

}  // namespace
}  // namespace mynah
