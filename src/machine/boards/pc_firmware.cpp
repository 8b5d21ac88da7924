#include "machine/boards/pc_firmware.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <span>
#include <string_view>

#include "base/log.h"
#include "device/firmware_config/flash28f_registers.h"
#include "machine/boards/pc_layout.h"

namespace mynah {
namespace {

// Where distributions' packages put them, best first.
constexpr std::array<const char*, 3> kBiosPlaces{"/usr/share/seabios/bios-256k.bin",
                                                 "/usr/share/qemu/bios-256k.bin",
                                                 "/usr/share/seabios/bios.bin"};
struct UefiPlace {
    const char* image;
    const char* variables;
};
constexpr std::array<UefiPlace, 3> kUefiPlaces{{
    {"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
    {"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},
    {"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
}};
// With secure boot on: built for SMM, and variables that hold the usual keys.
constexpr std::array<UefiPlace, 2> kSecurePlaces{{
    {"/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"},
    {"/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"},
}};
// The option ROM of the package qemu-system-data.
constexpr const char* kLinuxRom = "/usr/share/qemu/linuxboot_dma.bin";
constexpr uint64_t kLinuxRomLimit = 0x10000;
// What a UEFI image's own variable store is called: the last "CODE" of the file's name.
constexpr std::string_view kCode = "CODE", kVariables = "VARS";

struct Paths {
    std::string image, image_origin;
    std::string variables;  // the template; empty: no variable store
};

std::string variables_beside(const std::string& image) {
    const std::filesystem::path path(image);
    std::string name = path.filename();
    // "OVMF_CODE_4M.secboot.fd" has the variables of "OVMF_VARS_4M.fd".
    const size_t code = name.rfind(kCode);
    if (code == std::string::npos) return {};
    name.replace(code, kCode.size(), kVariables);
    if (auto exact = path.parent_path() / name; std::filesystem::exists(exact)) return exact;
    const size_t dot = name.find('.', code);
    const std::filesystem::path plain = path.parent_path() / (name.substr(0, dot) + ".fd");
    return std::filesystem::exists(plain) ? plain.string() : std::string();
}

Result<Paths> find_files(const MachineConfig& config) {
    if (!config.firmware.empty()) {
        Paths paths{config.firmware, "--firmware " + config.firmware,
                    variables_beside(config.firmware)};
        if (config.boot.uefi && paths.variables.empty() && config.boot.nvram.empty()) {
            return Error(paths.image_origin +
                         ": no variable store beside it (CODE in its name becomes VARS); expected "
                         "--boot nvram=FILE");
        }
        return paths;
    }
    if (!config.boot.uefi) {
        for (const char* place : kBiosPlaces)
            if (std::filesystem::exists(place)) return Paths{place, place, {}};
        return Error(
            fmt::format("--machine pc: no BIOS at {}; install the package seabios, or "
                        "expected --firmware FILE",
                        kBiosPlaces.front()));
    }
    const std::span<const UefiPlace> places =
        config.boot.secure ? std::span<const UefiPlace>(kSecurePlaces) : kUefiPlaces;
    for (const UefiPlace& place : places)
        if (std::filesystem::exists(place.image) && std::filesystem::exists(place.variables))
            return Paths{place.image, place.image, place.variables};
    return Error(
        fmt::format("--boot uefi: no firmware at {}; install the package ovmf, or expected "
                    "--firmware FILE",
                    places.front().image));
}

Error cannot(const std::string& path, const char* what) {
    return Error(
        fmt::format("--boot nvram={}: cannot be {}: {}", path, what, std::strerror(errno)));
}

bool write_all(int fd, uint64_t offset, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t put = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        offset += static_cast<uint64_t>(put);
        bytes = bytes.subspan(static_cast<size_t>(put));
    }
    return true;
}

// The operator's file of variables; made from the template if it is not there or empty.
Result<Fd> open_variables(const std::string& path, std::vector<std::byte>& content) {
    Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600));
    if (!fd.valid()) return cannot(path, "opened for writing");
    struct stat status {};
    if (fstat(fd.get(), &status) != 0) return cannot(path, "read");
    if (!S_ISREG(status.st_mode))
        return Error(fmt::format("--boot nvram={}: is not a regular file", path));
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
        return Error(fmt::format("--boot nvram={}: is in use by another machine", path));
    const auto size = static_cast<uint64_t>(status.st_size);
    if (size == 0) {
        if (content.empty())
            return Error(fmt::format("--boot nvram={}: is empty, and there is no template", path));
        if (!write_all(fd.get(), 0, content)) return cannot(path, "written");
        return fd;
    }
    const bool fits = content.empty() ? size % flash::kBlockBytes == 0 && size < pc::kFirmwareLimit
                                      : size == content.size();
    if (!fits) {
        return Error(
            fmt::format("--boot nvram={}: {} bytes; expected {}, as the firmware's own", path, size,
                        content.empty() ? "whole blocks of 4096" : std::to_string(content.size())));
    }
    content.resize(size);
    const auto got = pread(fd.get(), content.data(), size, 0);
    if (got != static_cast<ssize_t>(size)) return cannot(path, "read");
    return fd;
}

class FlashFile final : public FlashStore {
  public:
    FlashFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
    void save(uint64_t offset, std::span<const std::byte> content) override {
        if (fd_.valid() && !write_all(fd_.get(), offset, content) && limit_.allow())
            log(LogLevel::kError, "{}: cannot be written: {}", path_, std::strerror(errno));
    }

  private:
    const Fd fd_;
    const std::string path_;
    LogLimit limit_;
};

}  // namespace

Result<PcFirmware> PcFirmware::open(const MachineConfig& config) {
    const Paths paths = TRY(find_files(config));
    const InputFile file =
        TRY(InputFile::open(paths.image, paths.image_origin, pc::kFirmwareLimit));
    PcFirmware firmware;
    firmware.image_ = TRY(file.read());
    constexpr uint64_t kSmallest = 0x10000;
    const uint64_t size = firmware.image_bytes();
    if (size < kSmallest || size % flash::kBlockBytes != 0) {
        return Error(
            fmt::format("{}: {} bytes; expected a firmware image of whole blocks of 4096, "
                        "at least 64 KiB",
                        paths.image_origin, size));
    }
    if (!config.kernel.empty() && !config.boot.uefi) {
        const InputFile rom = TRY(InputFile::open(
            kLinuxRom, fmt::format("--kernel by a BIOS needs {}", kLinuxRom), kLinuxRomLimit));
        firmware.linux_rom_ = TRY(rom.read());
    }
    if (!paths.variables.empty()) {
        const InputFile variables =
            TRY(InputFile::open(paths.variables, paths.variables, pc::kFirmwareLimit));
        const FileContent content = TRY(variables.read());
        firmware.variables_.assign(content.bytes().begin(), content.bytes().end());
    }
    if (!config.boot.nvram.empty()) {
        firmware.variables_path_ = config.boot.nvram;
        firmware.variables_file_ = TRY(open_variables(config.boot.nvram, firmware.variables_));
    }
    if (firmware.variables_.size() % flash::kBlockBytes != 0 ||
        firmware.variables_.size() + size > pc::kFirmwareLimit) {
        return Error(fmt::format("{}: {} bytes; expected whole blocks of 4096", paths.variables,
                                 firmware.variables_.size()));
    }
    return firmware;
}

void PcFirmware::copy_image(std::byte* to) const { std::ranges::copy(image_.bytes(), to); }

void PcFirmware::copy_variables(std::byte* to) const { std::ranges::copy(variables_, to); }

std::unique_ptr<FlashStore> PcFirmware::make_store() {
    if (variables_.empty()) return nullptr;
    return std::make_unique<FlashFile>(std::move(variables_file_), variables_path_);
}

}  // namespace mynah
