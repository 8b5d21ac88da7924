#include "cli/disk_option.h"

#include <fmt/core.h>

#include <array>

#include "backend/block/image/create_image.h"
#include "backend/block/image/probe.h"
#include "cli/nearest_name.h"
#include "cli/option_value.h"
#include "cli/vhost_option.h"
#include "cli/virtio_parts.h"

namespace mynah {
namespace {

constexpr std::array<std::string_view, 21> kKeys{
    "path",     "format",  "bus",          "readonly", "cache", "device", "size",   "snapshot",
    "discard",  "copy_on_read", "iops",    "bps",      "serial", "queues", "packed", "in_order",
    "controller", "target", "lun", "data_file", "iommu"};

Result<DiskBus> parse_bus(std::string_view text) {
    if (text == "virtio") return DiskBus::kVirtio;
    if (text == "sata" || text == "ahci") return DiskBus::kSata;
    if (text == "ide") return DiskBus::kIde;
    if (text == "nvme") return DiskBus::kNvme;
    if (text == "usb") return DiskBus::kUsb;
    if (text == "scsi") return DiskBus::kScsi;
    return Error(fmt::format("bus={}: expected virtio, scsi, sata, ide, nvme or usb", text));
}

// A key that has one value in this version.
Result<void> expect_only(const ValuePart& part, std::string_view only) {
    if (part.value == only) return {};
    return Error(
        fmt::format("{}={}: this version has only {}={}", part.key, part.value, part.key, only));
}

Result<CacheMode> parse_cache(std::string_view text) {
    if (text == "writeback" || text == "default") return CacheMode::kWriteback;
    if (text == "writethrough") return CacheMode::kWritethrough;
    if (text == "unsafe") return CacheMode::kUnsafe;
    if (text == "none") return CacheMode::kNone;
    if (text == "directsync") return CacheMode::kDirectSync;
    return Error(fmt::format(
        "cache={}: expected writeback, none, writethrough, directsync or unsafe", text));
}

Result<bool> parse_part_switch(const ValuePart& part) {
    const auto value = parse_switch(part.value);
    if (value) return value.value();
    return Error(fmt::format("{}={}: {}", part.key, part.value, value.error().message()));
}

Result<std::string> parse_format(std::string_view text) {
    const std::string_view known = canonical_format(text);
    if (!known.empty()) return std::string(known);
    return Error(fmt::format("format={}: expected {}", text, kFormatNames));
}

// GiB, as virt-install has it, unless there is a suffix.
Result<uint64_t> parse_size(const std::string& text) {
    const bool plain = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    const auto bytes = parse_byte_count(plain ? text + "G" : text);
    if (bytes && *bytes > 0) return *bytes;
    return Error(fmt::format("size={}: expected a size in GiB, or with a suffix", text));
}

Result<bool> parse_discard(std::string_view text) {
    if (text == "unmap" || text == "on") return true;
    if (text == "ignore" || text == "off") return false;
    return Error(fmt::format("discard={}: expected unmap or ignore", text));
}

Result<uint64_t> parse_rate(const ValuePart& part) {
    const auto count = part.key == "bps" ? parse_byte_count(part.value) : std::nullopt;
    if (count) return *count;
    const auto value = parse_number(part.value);
    if (value) return value.value();
    return Error(fmt::format("{}={}: {}", part.key, part.value, value.error().message()));
}

// What changes how the disk's file is used; false: the key is none of these.
Result<bool> apply_image_part(DiskConfig& disk, const ValuePart& part) {
    if (part.key == "format")
        disk.format = TRY(parse_format(part.value));
    else if (part.key == "size")
        disk.create_size = TRY(parse_size(part.value));
    else if (part.key == "data_file")
        disk.data_file = part.value;
    else if (part.key == "cache")
        disk.cache = TRY(parse_cache(part.value));
    else if (part.key == "snapshot")
        disk.snapshot = TRY(parse_part_switch(part));
    else if (part.key == "discard")
        disk.discard = TRY(parse_discard(part.value));
    else if (part.key == "copy_on_read")
        disk.copy_on_read = TRY(parse_part_switch(part));
    else if (part.key == "iops")
        disk.iops = TRY(parse_rate(part));
    else if (part.key == "bps")
        disk.bytes_per_second = TRY(parse_rate(part));
    else
        return false;
    return true;
}

// Where a disk is behind a SCSI host; false: the key is about something else.
Result<bool> apply_scsi_part(ScsiPlace& place, const ValuePart& part) {
    const auto number = [&](uint64_t most) -> Result<uint64_t> {
        const auto value = parse_number(part.value);
        if (value && value.value() <= most) return value.value();
        return Error(fmt::format("{}={}: expected 0 to {}", part.key, part.value, most));
    };
    if (part.key == "controller") {
        if (part.value.empty()) return Error("controller=: expected the id of a --controller scsi");
        place.controller = part.value;
    } else if (part.key == "target") {
        place.target = static_cast<uint8_t>(TRY(number(ScsiPlace::kMaxTarget)));
    } else if (part.key == "lun") {
        place.lun = static_cast<uint16_t>(TRY(number(ScsiPlace::kMaxLun)));
    } else {
        return false;
    }
    return true;
}

Result<void> apply_part(DiskConfig& disk, const ValuePart& part) {
    if (TRY(apply_image_part(disk, part))) return {};
    if (TRY(apply_scsi_part(disk.scsi, part))) return {};
    const auto virtio = apply_virtio_part(disk.virtio, part, DiskConfig::kMaxQueues);
    if (!virtio)
        return Error(fmt::format("{}={}: {}", part.key, part.value, virtio.error().message()));
    if (virtio.value()) return {};
    if (part.key == "path") {
        disk.path = part.value;
    } else if (part.key == "bus") {
        disk.bus = TRY(parse_bus(part.value));
    } else if (part.key == "device") {
        if (part.value == "cdrom") {
            disk.cdrom = disk.read_only = true;
        } else {
            return expect_only(part, "disk");
        }
    } else if (part.key == "readonly") {
        disk.read_only = TRY(parse_part_switch(part));
    } else if (part.key == "serial") {
        if (part.value.empty() || part.value.size() > DiskConfig::kMaxSerial)
            return Error(fmt::format("serial={}: expected 1 to {} characters", part.value,
                                     DiskConfig::kMaxSerial));
        disk.serial = part.value;
    } else {
        return Error(
            fmt::format("unknown part '{}'{}; expected path=, format=, size=, bus=, readonly=, "
                        "data_file=, cache=, snapshot=, discard=, copy_on_read=, iops=, bps=, serial=, "
                        "queues=, packed=, in_order=, iommu=, controller=, target= or lun=",
                        part.key.empty() ? part.value : part.key, did_you_mean(part.key, kKeys)));
    }
    return {};
}

}  // namespace

Result<void> apply_disk_option(RunOptions& options, std::string_view value) {
    std::vector<ValuePart> parts = split_value(value);
    if (parts.front().key == "vhost-user") return apply_vhost_disk(options, parts);
    // The path may stand first without its key.
    if (parts.front().key.empty()) parts.front().key = "path";
    DiskConfig disk;
    for (const ValuePart& part : parts) TRY(apply_part(disk, part));
    if (disk.path.empty() && !disk.cdrom)
        return Error("path= is missing; expected --disk path=FILE");
    if (disk.create_size && disk.read_only)
        return Error("size= and readonly=on: a new disk that cannot be written is of no use");
    if (disk.virtio.given() && disk.bus != DiskBus::kVirtio && disk.bus != DiskBus::kDefault)
        return Error("queues=, packed=, in_order= and iommu= belong to bus=virtio");
    if (disk.scsi.given() && disk.bus != DiskBus::kScsi)
        return Error("controller=, target= and lun= belong to bus=scsi");
    options.machine.disks.push_back(disk);
    return {};
}

Result<void> apply_cdrom_option(RunOptions& options, std::string_view value) {
    if (value.empty()) return Error("expected the path of a CD image");
    DiskConfig disk;
    disk.path = value;
    disk.cdrom = disk.read_only = true;
    disk.format = "raw";
    options.machine.disks.push_back(disk);
    return {};
}

}  // namespace mynah
