#include "backend/block/image/open_image.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "backend/block/image/probe.h"
#include "backend/block/qcow2/qcow2_image.h"
#include "backend/block/raw/raw_image.h"
#include "backend/block/vdi/vdi_image.h"
#include "backend/block/vhd/vhd_image.h"
#include "backend/block/vhdx/vhdx_image.h"
#include "backend/block/vmdk/vmdk_image.h"

namespace mynah {
namespace {

constexpr size_t kMaxChain = 128;

using Chain = std::vector<HostFile::Identity>;

Result<std::unique_ptr<HostFile>> open_file(const ImageOpenOptions& options,
                                            const std::string& path) {
    HostFileOptions file;
    file.path = path;
    file.read_only = options.read_only;
    file.cache = options.cache;
    file.lock = options.lock;
    return HostFile::open(file);
}

Result<std::string> format_of(const ImageOpenOptions& options, HostFile& file) {
    if (!options.format.empty()) {
        const std::string_view known = canonical_format(options.format);
        if (known.empty())
            return image_error(file, fmt::format("format '{}' is unknown; expected {}",
                                                 options.format, kFormatNames));
        return std::string(known);
    }
    std::array<std::byte, kSignatureBytes> start{};
    TRY(expect_ok(file, "read", file.read_bytes(0, start)));
    const char* found = signature_format(start);
    if (found == nullptr) return std::string("raw");
    if (options.no_probing)
        return image_error(file, fmt::format("looks like a {0} image, but the image above does "
                                             "not say that it is one; expected it to be recorded "
                                             "(mynah image rebase -u -F {0} -b FILE IMAGE)", found));
    return std::string(found);
}

Result<std::string> data_file_of(const ImageOpenOptions& options, const Qcow2Header& header,
                                 const HostFile& file) {
    if (!options.data_file.empty()) return options.data_file;
    const std::string named = resolve_beside(options.path, header.data_file);
    std::error_code none;
    const auto folder = [](const std::string& path) {
        const auto parent = std::filesystem::path(path).parent_path();
        return parent.empty() ? std::filesystem::path(".") : parent;
    };
    if (options.any_data_file ||
        std::filesystem::equivalent(folder(named), folder(options.path), none))
        return named;
    return image_error(file, fmt::format("wants its data in '{}', which is not beside it; expected "
                                         "data_file= with the file that is meant",
                                         header.data_file));
}

Result<std::unique_ptr<DiskImage>> open_qcow2(const ImageOpenOptions& options,
                                              std::unique_ptr<HostFile> file) {
    const Qcow2Header header = TRY(Qcow2Header::read(*file));
    Qcow2Image::OpenOptions open;
    open.check_only = options.check_only;
    open.discard_unused = options.discard_unused;
    if (header.external_data()) {
        const std::string named = TRY(data_file_of(options, header, *file));
        open.data_file = TRY(open_file(options, named));
    }
    return std::unique_ptr<DiskImage>(TRY(Qcow2Image::open(std::move(file), std::move(open))));
}

Result<std::unique_ptr<DiskImage>> open_layer(const ImageOpenOptions& options,
                                              std::unique_ptr<HostFile> file) {
    const std::string format = TRY(format_of(options, *file));
    if (format == "raw") {
        if (file->size() == 0)
            return image_error(*file, "is empty; expected a disk of at least 512 bytes");
        return std::unique_ptr<DiskImage>(std::make_unique<RawImage>(std::move(file)));
    }
    if (format == "qcow2") return open_qcow2(options, std::move(file));
    if (format == "vhd") return open_vhd(std::move(file));
    if (format == "vhdx")
        return std::unique_ptr<DiskImage>(TRY(VhdxImage::open(std::move(file))));
    if (format == "vdi") return std::unique_ptr<DiskImage>(TRY(VdiImage::open(std::move(file))));
    return open_vmdk(std::move(file), [&](const std::string& name) {
        return open_file(options, resolve_beside(options.path, name));
    });
}

Result<std::unique_ptr<DiskImage>> open_chain(const ImageOpenOptions& options, Chain& chain);

Result<void> add_backing(const ImageOpenOptions& options, DiskImage& image, Chain& chain) {
    const auto reference = image.backing_reference();
    if (!reference) return {};
    const std::string& name = reference->path;
    const size_t colon = name.find(':');
    if (colon != std::string::npos && name.find('/') > colon)
        return image_error(image.file(), fmt::format("its backing file '{}' is no file of this "
                                                     "host; this version opens only such", name));
    ImageOpenOptions below = options;
    below.path = resolve_beside(options.path, name);
    below.format = reference->format;
    below.read_only = true;
    below.no_probing = true;
    below.check_only = false;
    auto backing = open_chain(below, chain);
    if (!backing)
        return Error(fmt::format("{}: backing file {}", options.path, backing.error().message()));
    TRY(image.check_backing(*backing.value()));
    image.set_backing(backing.take_value());
    return {};
}

Result<std::unique_ptr<DiskImage>> open_chain(const ImageOpenOptions& options, Chain& chain) {
    auto file = TRY(open_file(options, options.path));
    if (std::ranges::find(chain, file->identity()) != chain.end())
        return image_error(*file, "is backed by itself; expected a chain that ends");
    if (chain.size() >= kMaxChain)
        return image_error(*file, fmt::format("is the {}th of a chain; expected a shorter one",
                                              kMaxChain + 1));
    chain.push_back(file->identity());
    auto image = TRY(open_layer(options, std::move(file)));
    if (options.with_backing) TRY(add_backing(options, *image, chain));
    return image;
}

}  // namespace

std::string resolve_beside(const std::string& image_path, const std::string& name) {
    std::string path = name.starts_with("file:") ? name.substr(5) : name;
    if (path.starts_with('/')) return path;
    const size_t slash = image_path.rfind('/');
    return slash == std::string::npos ? path : image_path.substr(0, slash + 1) + path;
}

Result<std::unique_ptr<DiskImage>> open_image(const ImageOpenOptions& options) {
    Chain chain;
    return open_chain(options, chain);
}

}  // namespace mynah
