#pragma once

#include <cstdint>

#include "base/bits.h"

// The GPU device [virtio-1.2 5.7], without its 3D commands. All fields are little-endian.
namespace mynah::virtio::gpu {

// Queues [virtio-1.2 5.7.2].
inline constexpr uint16_t kControlQueue = 0, kCursorQueue = 1;

// Feature bits [virtio-1.2 5.7.3].
inline constexpr uint64_t kFeatureEdid = bit(1);
inline constexpr uint64_t kFeatureResourceBlob = bit(3);

// Device configuration [virtio-1.2 5.7.4].
inline constexpr uint32_t kEventDisplay = 1;
struct Config {
    uint32_t events_read;
    uint32_t events_clear;  // write to clear
    uint32_t scanouts;
    uint32_t capability_sets;
};
static_assert(sizeof(Config) == 16);

// enum virtio_gpu_ctrl_type [virtio-1.2 5.7.6.7].
enum Command : uint32_t {
    kGetDisplayInfo = 0x100,
    kResourceCreate2d,
    kResourceUnref,
    kSetScanout,
    kResourceFlush,
    kTransferToHost2d,
    kResourceAttachBacking,
    kResourceDetachBacking,
    kGetCapsetInfo,
    kGetCapset,
    kGetEdid,
    kResourceAssignUuid,
    kResourceCreateBlob,
    kSetScanoutBlob,
    kUpdateCursor = 0x300,
    kMoveCursor,
};
enum Response : uint32_t {
    kOkNoData = 0x1100,
    kOkDisplayInfo,
    kOkCapsetInfo,
    kOkCapset,
    kOkEdid,
    kErrUnspecified = 0x1200,
    kErrOutOfMemory,
    kErrInvalidScanout,
    kErrInvalidResource,
    kErrInvalidContext,
    kErrInvalidParameter,
};

inline constexpr uint32_t kFlagFence = 1;

struct Header {  // struct virtio_gpu_ctrl_hdr
    uint32_t type;
    uint32_t flags;
    uint64_t fence;
    uint32_t context;
    uint8_t ring;
    uint8_t padding[3];
};
static_assert(sizeof(Header) == 24);

struct Rectangle {
    uint32_t x, y, width, height;
};

inline constexpr uint32_t kMaxScanouts = 16;
struct DisplayInfo {  // struct virtio_gpu_resp_display_info
    Header header;
    struct Mode {
        Rectangle place;
        uint32_t enabled;
        uint32_t flags;
    } modes[kMaxScanouts];
};
static_assert(sizeof(DisplayInfo) == 24 + 16 * 24);

struct GetEdid {
    Header header;
    uint32_t scanout;
    uint32_t padding;
};
struct Edid {  // struct virtio_gpu_resp_edid
    Header header;
    uint32_t size;
    uint32_t padding;
    uint8_t edid[1024];
};
static_assert(sizeof(Edid) == 24 + 8 + 1024);

// How a pixel's bytes follow each other in memory.
enum Format : uint32_t {
    kB8G8R8A8 = 1,
    kB8G8R8X8 = 2,
    kA8R8G8B8 = 3,
    kX8R8G8B8 = 4,
    kR8G8B8A8 = 67,
    kX8B8G8R8 = 68,
    kA8B8G8R8 = 121,
    kR8G8B8X8 = 134,
};
inline constexpr uint32_t kPixelBytes = 4;  // in all of them

struct ResourceCreate2d {
    Header header;
    uint32_t resource;
    uint32_t format;
    uint32_t width;
    uint32_t height;
};
// UNREF and DETACH_BACKING.
struct ResourceOnly {
    Header header;
    uint32_t resource;
    uint32_t padding;
};
struct SetScanout {
    Header header;
    Rectangle part;
    uint32_t scanout;
    uint32_t resource;  // 0: nothing is shown
};
struct ResourceFlush {
    Header header;
    Rectangle part;
    uint32_t resource;
    uint32_t padding;
};
struct TransferToHost2d {
    Header header;
    Rectangle part;
    uint64_t offset;
    uint32_t resource;
    uint32_t padding;
};
struct AttachBacking {
    Header header;
    uint32_t resource;
    uint32_t entries;  // that many MemoryEntry follow
};
struct MemoryEntry {
    uint64_t address;
    uint32_t length;
    uint32_t padding;
};
static_assert(sizeof(MemoryEntry) == 16);

inline constexpr uint32_t kBlobGuest = 1;  // VIRTIO_GPU_BLOB_MEM_GUEST
struct ResourceCreateBlob {
    Header header;
    uint32_t resource;
    uint32_t memory;
    uint32_t flags;
    uint32_t entries;  // that many MemoryEntry follow
    uint64_t id;
    uint64_t size;
};
static_assert(sizeof(ResourceCreateBlob) == 24 + 32);
struct SetScanoutBlob {
    Header header;
    Rectangle part;
    uint32_t scanout;
    uint32_t resource;
    uint32_t width;
    uint32_t height;
    uint32_t format;
    uint32_t padding;
    uint32_t strides[4];
    uint32_t offsets[4];
};
static_assert(sizeof(SetScanoutBlob) == 24 + 16 + 24 + 32);

// UPDATE_CURSOR and MOVE_CURSOR [virtio-1.2 5.7.6.10].
struct Cursor {
    Header header;
    uint32_t scanout;
    uint32_t x, y;  // of the picture's upper left corner; drivers send negative ones
    uint32_t padding;
    uint32_t resource;  // 0: no cursor
    uint32_t hot_x, hot_y;
    uint32_t padding2;
};
static_assert(sizeof(Cursor) == 24 + 32);
inline constexpr uint32_t kCursorSize = 64;  // pixels, both ways

}  // namespace mynah::virtio::gpu
