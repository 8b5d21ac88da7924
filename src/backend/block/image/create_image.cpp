#include "backend/block/image/create_image.h"

#include <fmt/core.h>
#include <unistd.h>

#include <charconv>
#include <cctype>
#include <memory>

#include "backend/block/image/host_file.h"
#include "backend/block/image/open_image.h"
#include "backend/block/image/probe.h"
#include "backend/block/qcow2/qcow2_image.h"
#include "backend/block/vdi/vdi_image.h"
#include "backend/block/vhd/vhd_image.h"
#include "backend/block/vhdx/vhdx_image.h"
#include "backend/block/vmdk/vmdk_image.h"

namespace mynah {
namespace {

using Options = std::vector<std::pair<std::string, std::string>>;

// Takes known options out; what remains was not known.
class OptionReader {
  public:
    explicit OptionReader(Options options) : left_(std::move(options)) {}
    std::optional<std::string> take(std::string_view name) {
        for (auto each = left_.begin(); each != left_.end(); ++each) {
            if (each->first != name) continue;
            std::string value = std::move(each->second);
            left_.erase(each);
            return value;
        }
        return std::nullopt;
    }
    Result<uint64_t> bytes(std::string_view name, uint64_t otherwise) {
        const auto text = take(name);
        if (!text) return otherwise;
        const auto value = parse_byte_count(*text);
        if (value) return *value;
        return Error(fmt::format("{}={}: expected a number of bytes, such as 64K", name, *text));
    }
    Result<bool> flag(std::string_view name) {
        const auto text = take(name);
        if (!text || *text == "off" || *text == "false" || *text == "no") return false;
        if (*text == "on" || *text == "true" || *text == "yes") return true;
        return Error(fmt::format("{}={}: expected on or off", name, *text));
    }
    Result<void> finish(std::string_view format) const {
        if (left_.empty()) return {};
        return Error(fmt::format("{}={}: {} images have no such option", left_.front().first,
                                 left_.front().second, format));
    }

  private:
    Options left_;
};

Result<void> create_raw(HostFile& file, const ImageCreateOptions& options) {
    OptionReader reader(options.options);
    const std::string preallocation = reader.take("preallocation").value_or("off");
    TRY(reader.finish("raw"));
    if (options.backing) return Error("a raw image cannot have a backing file");
    if (preallocation != "off" && preallocation != "full" && preallocation != "falloc")
        return Error(fmt::format("preallocation={}: expected off, falloc or full", preallocation));
    TRY(expect_ok(file, "made", file.truncate(options.size)));
    if (preallocation == "off") {
        // A device cannot be made new: what is on it must not show through.
        if (!file.is_block_device()) return {};
        return expect_ok(file, "cleared", file.write_zeroes(0, options.size, true));
    }
    return expect_ok(file, "filled", file.write_zeroes(0, options.size, false));
}

Result<void> create_qcow2(HostFile& file, const ImageCreateOptions& options) {
    OptionReader reader(options.options);
    Qcow2CreateOptions qcow2;
    qcow2.size = options.size;
    qcow2.backing = options.backing;
    const std::string compat = reader.take("compat").value_or("1.1");
    if (compat != "0.10" && compat != "1.1" && compat != "v2" && compat != "v3")
        return Error(fmt::format("compat={}: expected 0.10 or 1.1", compat));
    qcow2.version = compat == "0.10" || compat == "v2" ? 2 : 3;
    qcow2.cluster_size = TRY(reader.bytes("cluster_size", qcow2.cluster_size));
    qcow2.refcount_bits = static_cast<uint32_t>(
        std::min<uint64_t>(TRY(reader.bytes("refcount_bits", qcow2.refcount_bits)), 1 << 30));
    qcow2.lazy_refcounts = TRY(reader.flag("lazy_refcounts"));
    qcow2.extended_l2 = TRY(reader.flag("extended_l2"));
    qcow2.data_file = reader.take("data_file").value_or("");
    qcow2.raw_data_file = TRY(reader.flag("data_file_raw"));
    const std::string compression = reader.take("compression_type").value_or("zlib");
    if (compression != "zlib" && compression != "zstd")
        return Error(fmt::format("compression_type={}: expected zlib or zstd", compression));
    if (compression == "zstd") qcow2.compression = qcow2::Compression::kZstd;
    TRY(reader.finish("qcow2"));
    if (qcow2.data_file.empty()) return Qcow2Image::create(file, qcow2);
    HostFileOptions data;
    data.path = resolve_beside(options.path, qcow2.data_file);
    data.create = true;
    data.overwrite = options.overwrite;
    const auto data_file = TRY(HostFile::open(data));
    TRY(expect_ok(*data_file, "made", data_file->truncate(options.size)));
    return Qcow2Image::create(file, qcow2);
}

// What a differencing image is made over: its size and the name of its content.
Result<std::unique_ptr<DiskImage>> open_backing(const ImageCreateOptions& options) {
    ImageOpenOptions open;
    open.path = resolve_beside(options.path, options.backing->path);
    open.format = options.backing->format;
    open.read_only = true;
    open.lock = false;
    return open_image(open);
}

Result<bool> is_fixed(OptionReader& reader) {
    const std::string subformat = reader.take("subformat").value_or("dynamic");
    if (subformat == "dynamic" || subformat == "fixed") return subformat == "fixed";
    return Error(fmt::format("subformat={}: expected dynamic or fixed", subformat));
}

Result<void> expect_same_format(const ImageCreateOptions& options) {
    if (!options.backing ||
        canonical_format(options.backing->format) == canonical_format(options.format))
        return {};
    return Error(fmt::format("a {0} image can only be backed by another {0} image", options.format));
}

Result<void> create_vhd_image(HostFile& file, const ImageCreateOptions& options) {
    OptionReader reader(options.options);
    VhdCreateOptions vhd;
    vhd.size = options.size;
    vhd.backing = options.backing;
    vhd.fixed = TRY(is_fixed(reader));
    reader.take("force_size");  // sizes are always exact here
    TRY(reader.finish("vhd"));
    TRY(expect_same_format(options));
    if (options.backing) {
        const std::string id = TRY(open_backing(options))->content_id();
        for (size_t i = 0; i < vhd.parent_id.size() && i * 2 + 2 <= id.size(); ++i)
            vhd.parent_id[i] = static_cast<std::byte>(std::stoul(id.substr(i * 2, 2), nullptr, 16));
    }
    return create_vhd(file, vhd);
}

Result<void> create_vhdx_image(HostFile& file, const ImageCreateOptions& options) {
    OptionReader reader(options.options);
    VhdxCreateOptions vhdx;
    vhdx.size = options.size;
    vhdx.backing = options.backing;
    vhdx.block_size = TRY(reader.bytes("block_size", 0));
    vhdx.fixed = TRY(is_fixed(reader));
    TRY(reader.finish("vhdx"));
    TRY(expect_same_format(options));
    if (options.backing) vhdx.parent_linkage = TRY(open_backing(options))->content_id();
    return VhdxImage::create(file, vhdx);
}

Result<void> create_vdi_image(HostFile& file, const ImageCreateOptions& options) {
    OptionReader reader(options.options);
    const bool fixed = TRY(reader.flag("static"));
    TRY(reader.finish("vdi"));
    if (options.backing) return Error("a VDI image cannot have a backing file");
    return VdiImage::create(file, options.size, fixed);
}

Result<void> create_vmdk_image(HostFile& file, const ImageCreateOptions& options) {
    OptionReader reader(options.options);
    VmdkCreateOptions vmdk;
    vmdk.size = options.size;
    vmdk.name = options.path.substr(options.path.rfind('/') + 1);
    vmdk.subformat = reader.take("subformat").value_or("monolithicSparse");
    vmdk.adapter = reader.take("adapter_type").value_or("ide");
    TRY(reader.finish("vmdk"));
    if (options.backing) return Error("this version makes no VMDK images with a backing file");
    return create_vmdk(file, vmdk, [&](const std::string& name) {
        HostFileOptions extent;
        extent.path = resolve_beside(options.path, name);
        extent.create = true;
        extent.overwrite = options.overwrite;
        return HostFile::open(extent);
    });
}

Result<void> create_in(HostFile& file, const ImageCreateOptions& options) {
    const std::string_view format = canonical_format(options.format);
    if (format == "raw") return create_raw(file, options);
    if (format == "qcow2") return create_qcow2(file, options);
    if (format == "vhd") return create_vhd_image(file, options);
    if (format == "vhdx") return create_vhdx_image(file, options);
    if (format == "vdi") return create_vdi_image(file, options);
    return create_vmdk_image(file, options);
}

}  // namespace

std::optional<uint64_t> parse_byte_count(const std::string& text) {
    uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || rest == text.data()) return std::nullopt;
    std::string_view suffix(rest, static_cast<size_t>(end - rest));
    unsigned shift = 0;
    if (!suffix.empty()) {
        static constexpr std::string_view kSuffixes = "BKMGTPE";
        const size_t power = kSuffixes.find(static_cast<char>(std::toupper(suffix.front())));
        suffix.remove_prefix(1);
        if (power == std::string_view::npos || !(suffix.empty() || suffix == "iB" || suffix == "B"))
            return std::nullopt;
        shift = static_cast<unsigned>(power) * 10;
    }
    if (shift > 0 && value > (~uint64_t{0} >> shift)) return std::nullopt;
    return value << shift;
}

Result<void> create_image(const ImageCreateOptions& wanted) {
    ImageCreateOptions options = wanted;
    if (canonical_format(options.format).empty())
        return Error(fmt::format("format '{}' is unknown; expected {}", options.format, kFormatNames));
    if (options.backing && options.size == 0) options.size = TRY(open_backing(options))->size();
    options.size = (options.size + 511) / 512 * 512;
    HostFileOptions host;
    host.path = options.path;
    host.create = true;
    host.overwrite = options.overwrite;
    const bool was_there = access(options.path.c_str(), F_OK) == 0;
    const auto file = TRY(HostFile::open(host));
    auto made = create_in(*file, options);
    if (made) made = expect_ok(*file, "written", file->flush());
    if (made) return {};
    if (!was_there) unlink(options.path.c_str());
    const std::string& text = made.error().message();
    return Error(text.starts_with(options.path) ? text : options.path + ": " + text);
}

}  // namespace mynah
