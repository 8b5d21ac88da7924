#include "machine/disks.h"

#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "backend/block/image/create_image.h"
#include "backend/block/image/image_disk.h"
#include "backend/block/image/open_image.h"
#include "backend/block/image/probe.h"
#include "backend/block/qcow2/qcow2_image.h"
#include "backend/block/raw_file.h"
#include "backend/block/throttled_disk.h"

namespace mynah {
namespace {

constexpr const char* kOption = "--disk path=";

// Messages begin with a path; people want to know the option as well.
Error named(const Error& error) { return Error(kOption + error.message()); }

Result<void> create_if_missing(const DiskConfig& config) {
    if (!config.create_size || access(config.path.c_str(), F_OK) == 0) return {};
    ImageCreateOptions options;
    options.path = config.path;
    options.format = config.format.empty() ? "raw" : config.format;
    options.size = *config.create_size;
    const auto made = create_image(options);
    if (!made) return named(made.error());
    return {};
}

// What is there to be opened: the format that was named, or the one its first bytes speak of.
Result<std::string> format_of(const DiskConfig& config) {
    if (!config.format.empty()) return config.format;
    HostFileOptions options;
    options.path = config.path;
    options.read_only = true;
    options.lock = false;
    const auto file = HostFile::open(options);
    // RawFile says what is wrong, as it knows what the disk is for.
    if (!file) return std::string("raw");
    std::array<std::byte, kSignatureBytes> start{};
    if (file.value()->read_bytes(0, start) != BlockStatus::kOk) return std::string("raw");
    const char* found = signature_format(start);
    return std::string(found == nullptr ? "raw" : found);
}

Result<std::unique_ptr<BlockBackend>> open_raw(const DiskConfig& config, Executor& slow_work) {
    RawFileOptions options;
    options.path = config.path;
    options.read_only = config.read_only;
    options.cache = config.cache;
    options.discard = config.discard;
    options.format_given = !config.format.empty();
    return std::unique_ptr<BlockBackend>(TRY(RawFile::open(options, slow_work)));
}

// A qcow2 image over the disk, in a file without a name.
Result<std::unique_ptr<DiskImage>> open_overlay(std::unique_ptr<DiskImage> below) {
    const char* directory = std::getenv("TMPDIR");
    std::string path = std::string(directory == nullptr ? "/var/tmp" : directory) + "/mynah-XXXXXX";
    const int fd = mkstemp(path.data());
    if (fd < 0) return Error(fmt::format("{}{}: snapshot=on: no file can be made in {}", kOption,
                                         below->file().name(), path));
    close(fd);
    HostFileOptions options;
    options.path = path;
    options.cache = CacheMode::kUnsafe;  // nobody reads it after a power cut
    auto file = HostFile::open(options);
    unlink(path.c_str());
    if (!file) return Error(file.error());
    Qcow2CreateOptions create;
    create.size = below->size();
    TRY(Qcow2Image::create(*file.value(), create));
    auto image = TRY(Qcow2Image::open(file.take_value(), {}));
    image->set_backing(std::move(below));
    return std::unique_ptr<DiskImage>(std::move(image));
}

Result<std::unique_ptr<BlockBackend>> open_image_disk(const DiskConfig& config,
                                                      const std::string& format,
                                                      Executor& slow_work) {
    ImageOpenOptions options;
    options.path = config.path;
    options.format = format;
    options.read_only = config.read_only || config.snapshot;
    options.cache = config.cache;
    options.discard_unused = config.discard;
    options.data_file = config.data_file;
    auto image = open_image(options);
    if (!image) return named(image.error());
    if (image.value()->size() < 512)
        return Error(fmt::format("{}{}: holds a disk of {} bytes; expected at least 512", kOption,
                                 config.path, image.value()->size()));
    ImageDiskOptions disk;
    disk.read_only = config.read_only;
    disk.discard = config.discard;
    disk.copy_on_read = config.copy_on_read;
    disk.cache = config.snapshot ? CacheMode::kUnsafe : config.cache;
    if (config.snapshot && !config.read_only) image = open_overlay(image.take_value());
    if (!image) return Error(image.error());
    return std::unique_ptr<BlockBackend>(
        std::make_unique<ImageDisk>(image.take_value(), disk, slow_work));
}

}  // namespace

Result<std::unique_ptr<BlockBackend>> open_disk(const DiskConfig& config, Executor& slow_work) {
    if (config.path.empty()) return std::unique_ptr<BlockBackend>();
    TRY(create_if_missing(config));
    const std::string format = TRY(format_of(config));
    auto disk = format == "raw" && !config.snapshot
                    ? TRY(open_raw(config, slow_work))
                    : TRY(open_image_disk(config, format, slow_work));
    if (config.iops == 0 && config.bytes_per_second == 0) return disk;
    return std::unique_ptr<BlockBackend>(std::make_unique<ThrottledDisk>(
        std::move(disk), ThrottleLimits{config.iops, config.bytes_per_second}));
}

Result<std::vector<std::unique_ptr<BlockBackend>>> open_disks(
    const std::vector<DiskConfig>& configs, Executor& slow_work) {
    std::vector<std::unique_ptr<BlockBackend>> disks;
    for (const DiskConfig& config : configs) disks.push_back(TRY(open_disk(config, slow_work)));
    return disks;
}

std::string disk_serial(const MachineConfig& config, const DiskConfig& disk, size_t index) {
    return disk.serial.empty() ? fmt::format("{}-{}", config.name.substr(0, 12), index)
                               : disk.serial;
}

}  // namespace mynah
