#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bits.h"

// The block device [virtio-1.2 5.2].
namespace mynah::virtio::block {

inline constexpr uint32_t kSectorSize = 512;  // the unit of every sector number [virtio-1.2 5.2.4]

// Feature bits [virtio-1.2 5.2.3].
inline constexpr uint64_t kFeatureSizeMax = bit(1);
inline constexpr uint64_t kFeatureSegMax = bit(2);
inline constexpr uint64_t kFeatureReadOnly = bit(5);
inline constexpr uint64_t kFeatureBlkSize = bit(6);
inline constexpr uint64_t kFeatureFlush = bit(9);
inline constexpr uint64_t kFeatureTopology = bit(10);
inline constexpr uint64_t kFeatureConfigWce = bit(11);
inline constexpr uint64_t kFeatureMq = bit(12);
inline constexpr uint64_t kFeatureDiscard = bit(13);
inline constexpr uint64_t kFeatureWriteZeroes = bit(14);
inline constexpr uint64_t kFeatureLifetime = bit(15);

// struct virtio_blk_config [virtio-1.2 5.2.4], little-endian, naturally aligned.
struct Config {
    uint64_t capacity;  // sectors
    uint32_t size_max;
    uint32_t seg_max;
    uint16_t cylinders;
    uint8_t heads;
    uint8_t sectors;
    uint32_t blk_size;           // bytes
    uint8_t physical_block_exp;  // physical block = blk_size << this
    uint8_t alignment_offset;
    uint16_t min_io_size;  // in blk_size
    uint32_t opt_io_size;  // in blk_size
    uint8_t writeback;
    uint8_t unused0;
    uint16_t num_queues;
    uint32_t max_discard_sectors;
    uint32_t max_discard_seg;
    uint32_t discard_sector_alignment;
    uint32_t max_write_zeroes_sectors;
    uint32_t max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap;
    uint8_t unused1[3];
    uint32_t max_secure_erase_sectors;
    uint32_t max_secure_erase_seg;
    uint32_t secure_erase_sector_alignment;
};
static_assert(offsetof(Config, blk_size) == 20 && offsetof(Config, writeback) == 32);
static_assert(offsetof(Config, max_discard_sectors) == 36 && sizeof(Config) == 72);

// Request types [virtio-1.2 5.2.6].
inline constexpr uint32_t kIn = 0;
inline constexpr uint32_t kOut = 1;
inline constexpr uint32_t kFlush = 4;
inline constexpr uint32_t kGetId = 8;
inline constexpr uint32_t kGetLifetime = 10;
inline constexpr uint32_t kDiscard = 11;
inline constexpr uint32_t kWriteZeroes = 13;

// The first 16 bytes of struct virtio_blk_req.
struct RequestHeader {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};
static_assert(sizeof(RequestHeader) == 16);

// struct virtio_blk_discard_write_zeroes.
struct RangeSegment {
    uint64_t sector;
    uint32_t num_sectors;
    uint32_t flags;
};
static_assert(sizeof(RangeSegment) == 16);
inline constexpr uint32_t kSegmentUnmap = 1;

// struct virtio_blk_lifetime: 0 everywhere means that nobody knows.
struct Lifetime {
    uint16_t pre_eol_info;
    uint16_t device_lifetime_est_typ_a;
    uint16_t device_lifetime_est_typ_b;
};
static_assert(sizeof(Lifetime) == 6);

inline constexpr size_t kIdSize = 20;  // bytes of VIRTIO_BLK_T_GET_ID's answer

// The last byte of a request.
inline constexpr uint8_t kStatusOk = 0;
inline constexpr uint8_t kStatusIoError = 1;
inline constexpr uint8_t kStatusUnsupported = 2;

}  // namespace mynah::virtio::block
