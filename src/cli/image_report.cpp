#include "cli/image_report.h"

#include <fmt/chrono.h>
#include <fmt/core.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "backend/block/image/host_file.h"
#include "backend/block/image/open_image.h"

namespace mynah {
namespace {

using nlohmann::ordered_json;

std::string human(uint64_t bytes) {
    static constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    auto value = static_cast<double>(bytes);
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < kUnits.size()) value /= 1024, ++unit;
    return fmt::format("{:.3g} {}", value, kUnits[unit]);
}

uint64_t storage_of(const DiskImage& image) {
    const auto* host = dynamic_cast<const HostFile*>(&image.file());
    return host == nullptr ? image.file().size() : host->allocated_bytes();
}

// A word of the JSON's: "true" is true there.
ordered_json word(const std::string& text) {
    if (text == "true") return true;
    if (text == "false") return false;
    if (!text.empty() && text.find_first_not_of("0123456789") == text.npos && text.size() < 19)
        return std::stoull(text);
    return text;
}

std::string shown(ordered_json value) {
    // Names in images are anybody's bytes.
    return value.dump(4, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string snapshot_table(const std::vector<ImageSnapshot>& snapshots) {
    std::string text = fmt::format("{:<6} {:<24} {:>10} {:>19} {:>12}\n", "ID", "NAME", "VM STATE",
                                   "DATE", "DISK SIZE");
    for (const ImageSnapshot& each : snapshots) {
        const auto seconds = static_cast<std::time_t>(each.date_seconds);
        std::tm date{};
        localtime_r(&seconds, &date);
        text += fmt::format("{:<6} {:<24} {:>10} {:%Y-%m-%d %H:%M:%S} {:>12}\n", each.id, each.name,
                            human(each.vm_state_size), date, human(each.disk_size));
    }
    return text;
}

std::string image_info_text(DiskImage& image) {
    std::string text = fmt::format(
        "image: {}\nfile format: {}\nvirtual size: {} ({} bytes)\ndisk size: {}\n",
        image.file().name(), image.format(), human(image.size()), image.size(),
        human(storage_of(image)));
    if (image.cluster_size() > 0) text += fmt::format("cluster size: {}\n", image.cluster_size());
    if (const auto backing = image.backing_reference()) {
        text += fmt::format("backing file: {} (here: {})\n", backing->path,
                            resolve_beside(image.file().name(), backing->path));
        if (!backing->format.empty()) text += fmt::format("backing file format: {}\n", backing->format);
    }
    if (const auto snapshots = image.snapshots(); !snapshots.empty())
        text += "snapshots:\n" + snapshot_table(snapshots);
    for (const auto& [name, value] : image.details()) text += fmt::format("{}: {}\n", name, value);
    return text;
}

std::string image_info_json(DiskImage& image) {
    ordered_json value{{"filename", image.file().name()},
                       {"format", image.format()},
                       {"virtual-size", image.size()},
                       {"actual-size", storage_of(image)}};
    if (image.cluster_size() > 0) value["cluster-size"] = image.cluster_size();
    if (const auto backing = image.backing_reference()) {
        value["backing-filename"] = backing->path;
        value["full-backing-filename"] = resolve_beside(image.file().name(), backing->path);
        if (!backing->format.empty()) value["backing-filename-format"] = backing->format;
    }
    for (const ImageSnapshot& each : image.snapshots())
        value["snapshots"].push_back({{"id", each.id},
                                      {"name", each.name},
                                      {"vm-state-size", each.vm_state_size},
                                      {"date-sec", each.date_seconds},
                                      {"date-nsec", each.date_nanoseconds}});
    ordered_json data = ordered_json::object();
    for (auto [name, fact] : image.details()) {
        for (char& letter : name)
            if (letter == ' ') letter = '-';
        data[name] = name == "compat" ? ordered_json(fact) : word(fact);
    }
    if (!data.empty()) value["format-specific"] = {{"type", image.format()}, {"data", data}};
    return shown(value);
}

std::string image_check_text(DiskImage& image, const CheckReport& report) {
    std::string text;
    for (const std::string& line : report.messages) text += line + "\n";
    if (report.corruptions_fixed + report.leaks_fixed > 0)
        text += fmt::format("{} errors and {} leaks were put right.\n", report.corruptions_fixed,
                            report.leaks_fixed);
    const uint64_t errors = report.corruptions - report.corruptions_fixed;
    const uint64_t leaks = report.leaks - report.leaks_fixed;
    if (errors > 0) text += fmt::format("{} errors: the image is damaged.\n", errors);
    if (leaks > 0)
        text += fmt::format("{} leaked clusters: they only waste space.\n", leaks);
    if (report.check_errors > 0)
        text += fmt::format("{} things could not be checked.\n", report.check_errors);
    if (errors + leaks + report.check_errors == 0)
        text += fmt::format("{}: no errors were found.\n", image.file().name());
    if (report.total_clusters > 0)
        text += fmt::format("{}/{} clusters allocated, {} of them compressed\n",
                            report.allocated_clusters, report.total_clusters,
                            report.compressed_clusters);
    if (report.image_end_offset > 0)
        text += fmt::format("image end offset: {}\n", report.image_end_offset);
    return text;
}

std::string image_check_json(DiskImage& image, const CheckReport& report) {
    ordered_json value{{"filename", image.file().name()},
                       {"format", image.format()},
                       {"check-errors", report.check_errors},
                       {"image-end-offset", report.image_end_offset},
                       {"total-clusters", report.total_clusters},
                       {"allocated-clusters", report.allocated_clusters},
                       {"compressed-clusters", report.compressed_clusters}};
    if (const uint64_t left = report.corruptions - report.corruptions_fixed; left > 0)
        value["corruptions"] = left;
    if (const uint64_t left = report.leaks - report.leaks_fixed; left > 0) value["leaks"] = left;
    if (report.corruptions_fixed > 0) value["corruptions-fixed"] = report.corruptions_fixed;
    if (report.leaks_fixed > 0) value["leaks-fixed"] = report.leaks_fixed;
    return shown(value);
}

}  // namespace mynah
