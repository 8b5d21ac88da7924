#include "cli/disk_option.h"

#include <fmt/core.h>

#include <array>

#include "cli/nearest_name.h"
#include "cli/option_value.h"
#include "cli/vhost_option.h"
#include "cli/virtio_parts.h"

namespace mynah {
namespace {

constexpr std::array<std::string_view, 10> kKeys{"path",   "format",  "bus",    "readonly",
                                                 "cache",  "device",  "serial", "queues",
                                                 "packed", "in_order"};

Result<DiskBus> parse_bus(std::string_view text) {
    if (text == "virtio") return DiskBus::kVirtio;
    if (text == "sata" || text == "ahci") return DiskBus::kSata;
    if (text == "ide") return DiskBus::kIde;
    if (text == "nvme") return DiskBus::kNvme;
    if (text == "usb") return DiskBus::kUsb;
    return Error(fmt::format("bus={}: expected virtio, sata, ide, nvme or usb", text));
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
    return Error(fmt::format("cache={}: expected writeback, writethrough or unsafe", text));
}

Result<void> apply_part(DiskConfig& disk, const ValuePart& part) {
    const auto virtio = apply_virtio_part(disk.virtio, part, DiskConfig::kMaxQueues);
    if (!virtio)
        return Error(fmt::format("{}={}: {}", part.key, part.value, virtio.error().message()));
    if (virtio.value()) return {};
    if (part.key == "path") {
        disk.path = part.value;
    } else if (part.key == "format") {
        TRY(expect_only(part, "raw"));
        disk.format_given = true;
    } else if (part.key == "bus") {
        disk.bus = TRY(parse_bus(part.value));
    } else if (part.key == "device") {
        if (part.value == "cdrom") {
            disk.cdrom = disk.read_only = true;
        } else {
            return expect_only(part, "disk");
        }
    } else if (part.key == "readonly") {
        const auto value = parse_switch(part.value);
        if (!value)
            return Error(fmt::format("readonly={}: {}", part.value, value.error().message()));
        disk.read_only = value.value();
    } else if (part.key == "cache") {
        disk.cache = TRY(parse_cache(part.value));
    } else if (part.key == "serial") {
        if (part.value.empty() || part.value.size() > DiskConfig::kMaxSerial)
            return Error(fmt::format("serial={}: expected 1 to {} characters", part.value,
                                     DiskConfig::kMaxSerial));
        disk.serial = part.value;
    } else if (part.key == "size") {
        return Error("size=: this version does not create disks; make the file with truncate -s");
    } else {
        return Error(
            fmt::format("unknown part '{}'{}; expected path=, format=, bus=, readonly=, cache=, "
                        "serial=, queues=, packed= or in_order=",
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
    if (disk.virtio.given() && disk.bus != DiskBus::kVirtio && disk.bus != DiskBus::kDefault)
        return Error("queues=, packed= and in_order= belong to bus=virtio");
    options.machine.disks.push_back(disk);
    return {};
}

Result<void> apply_cdrom_option(RunOptions& options, std::string_view value) {
    if (value.empty()) return Error("expected the path of a CD image");
    DiskConfig disk;
    disk.path = value;
    disk.cdrom = disk.read_only = disk.format_given = true;
    options.machine.disks.push_back(disk);
    return {};
}

}  // namespace mynah
