#include "cli/image_command.h"

#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "backend/block/image/create_image.h"
#include "backend/block/image/image_operations.h"
#include "backend/block/image/open_image.h"
#include "cli/exit_status.h"
#include "cli/image_arguments.h"
#include "cli/image_report.h"
#include "cli/nearest_name.h"

namespace mynah {
namespace {

using Arguments = ImageArguments;
using Option = ImageArguments::Option;

constexpr const char* kUsage =
    "usage: mynah image create [-f FORMAT] [-b FILE -F FORMAT] [-o NAME=VALUE,...] FILE [SIZE]\n"
    "       mynah image info [-f FORMAT] [--json] FILE\n"
    "       mynah image check [-f FORMAT] [-r leaks|all] [--json] FILE\n"
    "       mynah image convert [-f FORMAT] [-O FORMAT] [-o NAME=VALUE,...] [-c] [-l SNAPSHOT]\n"
    "                           [-B FILE -F FORMAT] FILE NEW-FILE\n"
    "       mynah image compare [-f FORMAT] [-F FORMAT] FILE FILE\n"
    "       mynah image resize [-f FORMAT] [--shrink] FILE [+|-]SIZE\n"
    "       mynah image snapshot [-f FORMAT] -l | -c NAME | -a NAME | -d NAME  FILE\n"
    "       mynah image commit [-f FORMAT] [-d] FILE       into the image it is backed by\n"
    "       mynah image rebase [-f FORMAT] [-u] [-b FILE] [-F FORMAT] FILE\n"
    "Formats: raw, qcow2, vhdx, vhd, vmdk, vdi. Sizes: bytes, or with K, M, G, T.\n"
    "--force lets create and convert replace a file.\n";

// How far it is, on a terminal and if it takes longer than a second.
class ProgressLine {
  public:
    ~ProgressLine() {
        if (shown_) std::fputs("\r\x1b[K", stderr);
    }
    void operator()(double done) {
        const auto now = std::chrono::steady_clock::now();
        if (!terminal_ || now < next_) return;
        next_ = now + std::chrono::milliseconds(200);
        shown_ = true;
        fmt::print(stderr, "\r{:3.0f} %", done * 100);
        std::fflush(stderr);
    }
    ImageProgress told() {
        return [this](double done) { (*this)(done); };
    }

  private:
    const bool terminal_ = isatty(STDERR_FILENO) != 0;
    bool shown_ = false;
    std::chrono::steady_clock::time_point next_ =
        std::chrono::steady_clock::now() + std::chrono::seconds(1);
};

Result<void> expect_names(const Arguments& arguments, size_t least, size_t most,
                          std::string_view what) {
    if (arguments.names().size() >= least && arguments.names().size() <= most) return {};
    return Error(fmt::format("{} names given; expected {}", arguments.names().size(), what));
}

Result<uint64_t> parse_size(const std::string& text) {
    const auto size = parse_byte_count(text);
    if (size && *size <= uint64_t{INT64_MAX} - 511) return *size;
    return Error(fmt::format("'{}': expected a size, such as 20G", text));
}

Result<std::unique_ptr<DiskImage>> open(const std::string& path, const std::string& format,
                                        bool read_only, bool with_backing = true) {
    ImageOpenOptions options;
    options.path = path;
    options.format = format;
    options.read_only = read_only;
    options.with_backing = with_backing;
    options.any_data_file = true;
    return open_image(options);
}

std::optional<BackingReference> backing_of(const Arguments& arguments, std::string_view option) {
    const auto path = arguments.value(option);
    if (!path || path->empty()) return std::nullopt;
    return BackingReference{*path, arguments.value_or("-F", "")};
}

Result<void> expect_backing_format(const std::optional<BackingReference>& backing) {
    if (!backing || !backing->format.empty()) return {};
    return Error(fmt::format("-b {}: expected its format as well (-F FORMAT), since a file's first "
                             "bytes prove nothing", backing->path));
}

Result<int> create(const Arguments& arguments) {
    TRY(expect_names(arguments, 1, 2, "FILE and SIZE"));
    ImageCreateOptions options;
    options.path = arguments.names()[0];
    options.format = arguments.value_or("-f", "raw");
    options.backing = backing_of(arguments, "-b");
    TRY(expect_backing_format(options.backing));
    options.options = TRY(arguments.pairs("-o"));
    options.overwrite = arguments.has("--force");
    if (arguments.names().size() == 2)
        options.size = TRY(parse_size(arguments.names()[1]));
    else if (!options.backing)
        return Error("expected a size behind the file, such as 20G");
    TRY(create_image(options));
    return int{kExitOk};
}

Result<int> info(const Arguments& arguments) {
    TRY(expect_names(arguments, 1, 1, "one FILE"));
    ImageOpenOptions options;
    options.path = arguments.names()[0];
    options.format = arguments.value_or("-f", "");
    options.read_only = true;
    options.with_backing = false;
    options.lock = !arguments.has("-U");
    const auto image = TRY(open_image(options));
    std::fputs((arguments.has("--json") ? image_info_json(*image) : image_info_text(*image)).c_str(),
               stdout);
    return int{kExitOk};
}

Result<int> check(const Arguments& arguments) {
    TRY(expect_names(arguments, 1, 1, "one FILE"));
    const std::string repair = arguments.value_or("-r", "");
    if (!repair.empty() && repair != "leaks" && repair != "all")
        return Error(fmt::format("-r {}: expected leaks or all", repair));
    ImageOpenOptions options;
    options.path = arguments.names()[0];
    options.format = arguments.value_or("-f", "");
    options.read_only = repair.empty();
    options.with_backing = false;
    options.check_only = true;
    const auto image = TRY(open_image(options));
    if (!image->can_check())
        return Error(fmt::format("{}: there is nothing to check in a {} image",
                                 image->file().name(), image->format()));
    const CheckReport report = image->check(repair.empty()      ? Repair::kNothing
                                            : repair == "leaks" ? Repair::kLeaks
                                                                : Repair::kAll);
    std::fputs((arguments.has("--json") ? image_check_json(*image, report)
                                        : image_check_text(*image, report)).c_str(), stdout);
    if (report.check_errors > 0) return 1;
    if (report.corruptions > report.corruptions_fixed) return 2;
    return report.leaks > report.leaks_fixed ? 3 : 0;
}

Result<int> convert(const Arguments& arguments) {
    TRY(expect_names(arguments, 2, 2, "FILE and NEW-FILE"));
    const auto from = TRY(open(arguments.names()[0], arguments.value_or("-f", ""), true));
    if (const auto snapshot = arguments.value("-l")) TRY(from->view_snapshot(*snapshot));
    ImageCreateOptions options;
    options.path = arguments.names()[1];
    options.format = arguments.value_or("-O", "raw");
    options.size = from->size();
    options.backing = backing_of(arguments, "-B");
    TRY(expect_backing_format(options.backing));
    options.options = TRY(arguments.pairs("-o"));
    options.overwrite = arguments.has("--force");
    TRY(create_image(options));
    ProgressLine progress;
    const auto copy = [&]() -> Result<void> {
        const auto to = TRY(open(options.path, options.format, false));
        // Over a backing image only what differs is kept, and zeroes count.
        if (!options.backing)
            // A stream-optimised image takes only whole grains, packed, each once.
            return copy_image(*from, *to,
                              arguments.has("-c") ||
                                  (options.format == "vmdk" && to->can_compress()),
                              progress.told());
        return copy_difference(*from, *to, progress.told());
    };
    const auto copied = copy();
    if (!copied && !options.overwrite) unlink(options.path.c_str());
    if (!copied) return Error(copied.error());
    return int{kExitOk};
}

Result<int> compare(const Arguments& arguments) {
    TRY(expect_names(arguments, 2, 2, "two files"));
    const auto one = TRY(open(arguments.names()[0], arguments.value_or("-f", ""), true));
    const auto two = TRY(open(arguments.names()[1], arguments.value_or("-F", ""), true));
    ProgressLine progress;
    const auto difference = TRY(compare_images(*one, *two, progress.told()));
    if (difference) {
        fmt::print("they differ at offset {}\n", *difference);
        return 1;
    }
    fmt::print("they are identical\n");
    return 0;
}

Result<int> resize(const Arguments& arguments) {
    TRY(expect_names(arguments, 2, 2, "FILE and SIZE"));
    std::string text = arguments.names()[1];
    const char sign = text.empty() ? '\0' : text.front();
    if (sign == '+' || sign == '-') text.erase(0, 1);
    uint64_t size = TRY(parse_size(text));
    const auto image = TRY(open(arguments.names()[0], arguments.value_or("-f", ""), false));
    if (sign == '+') size += image->size();
    if (sign == '-') {
        if (size > image->size())
            return Error(fmt::format("{}: is smaller than that", image->file().name()));
        size = image->size() - size;
    }
    size = (size + 511) / 512 * 512;
    if (size < image->size() && !arguments.has("--shrink"))
        return Error(fmt::format("{}: has {} bytes; what lies beyond {} would be lost; expected "
                                 "--shrink if that is meant",
                                 image->file().name(), image->size(), size));
    TRY(image->resize(size));
    return int{kExitOk};
}

Result<int> snapshot(const Arguments& arguments) {
    TRY(expect_names(arguments, 1, 1, "one FILE"));
    const int wanted = arguments.has("-l") + arguments.has("-c") + arguments.has("-a") +
                       arguments.has("-d");
    if (wanted > 1) return Error("expected only one of -l, -c, -a and -d");
    const bool list = wanted == 0 || arguments.has("-l");
    const auto image = TRY(open(arguments.names()[0], arguments.value_or("-f", ""), list, false));
    if (list) {
        const auto snapshots = image->snapshots();
        if (!snapshots.empty()) std::fputs(snapshot_table(snapshots).c_str(), stdout);
        return int{kExitOk};
    }
    if (const auto name = arguments.value("-c"))
        TRY(image->create_snapshot(*name, static_cast<uint32_t>(std::time(nullptr))));
    if (const auto name = arguments.value("-a")) TRY(image->apply_snapshot(*name));
    if (const auto name = arguments.value("-d")) TRY(image->delete_snapshot(*name));
    return int{kExitOk};
}

Result<int> commit(const Arguments& arguments) {
    TRY(expect_names(arguments, 1, 1, "one FILE"));
    const std::string& path = arguments.names()[0];
    auto top = TRY(open(path, arguments.value_or("-f", ""), false, false));
    const auto reference = top->backing_reference();
    if (!reference) return Error(fmt::format("{}: has no backing file", path));
    const std::string below_path = resolve_beside(path, reference->path);
    ImageOpenOptions lower;
    lower.path = below_path;
    lower.format = reference->format;
    lower.any_data_file = true;
    lower.no_probing = true;  // not recorded: raw, and refused if it looks like an image
    auto below = TRY(open_image(lower));
    TRY(top->check_backing(*below));
    ProgressLine progress;
    TRY(commit_image(*top, *below, progress.told()));
    if (!arguments.has("-d")) TRY(top->make_empty());
    return int{kExitOk};
}

Result<int> rebase(const Arguments& arguments) {
    TRY(expect_names(arguments, 1, 1, "one FILE"));
    const std::string& path = arguments.names()[0];
    const auto backing = backing_of(arguments, "-b");
    TRY(expect_backing_format(backing));
    const bool unsafe = arguments.has("-u");
    const auto image = TRY(open(path, arguments.value_or("-f", ""), false, !unsafe));
    if (!unsafe) {
        std::unique_ptr<DiskImage> other;
        if (backing) other = TRY(open(resolve_beside(path, backing->path), backing->format, true));
        ProgressLine progress;
        TRY(rebase_image(*image, other.get(), progress.told()));
    }
    TRY(image->set_backing_reference(backing));
    return int{kExitOk};
}

struct Command {
    std::string_view name;
    std::vector<Option> options;
    Result<int> (*run)(const Arguments& arguments);
    int error_status = kExitError;
};

const std::vector<Command>& commands() {
    constexpr Option kFormat{"-f", "--format", true}, kForce{"--force", "", false},
        kBackingFormat{"-F", "--backing-format", true}, kOptions{"-o", "--options", true},
        kProgress{"-p", "", false}, kJson{"--json", "", false};
    static const std::vector<Command> kCommands{
        {"create", {kFormat, {"-b", "--backing", true}, kBackingFormat, kOptions, kForce}, create},
        {"info", {kFormat, kJson, {"-U", "--force-share", false}}, info},
        {"check", {kFormat, kJson, {"-r", "--repair", true}}, check},
        {"convert",
         {kFormat, {"-O", "--output-format", true}, kOptions, {"-c", "", false}, {"-l", "", true},
          {"-B", "", true}, kBackingFormat, kForce, kProgress},
         convert},
        {"compare", {kFormat, kBackingFormat, kProgress}, compare, 2},
        {"resize", {kFormat, {"--shrink", "", false}}, resize},
        {"snapshot",
         {kFormat, {"-l", "", false}, {"-c", "", true}, {"-a", "", true}, {"-d", "", true}},
         snapshot},
        {"commit", {kFormat, {"-d", "", false}, kProgress}, commit},
        {"rebase", {kFormat, {"-u", "", false}, {"-b", "", true}, kBackingFormat, kProgress}, rebase},
    };
    return kCommands;
}

}  // namespace

int image_command(std::span<const std::string_view> words) {
    if (words.empty()) {
        std::fputs(kUsage, stderr);
        return kExitError;
    }
    if (words[0] == "help" || words[0] == "--help" || words[0] == "-h") {
        std::fputs(kUsage, stdout);
        return kExitOk;
    }
    std::vector<std::string_view> known;
    for (const Command& each : commands()) {
        known.push_back(each.name);
        if (each.name != words[0]) continue;
        auto run = [&]() -> Result<int> {
            return each.run(TRY(Arguments::parse(words.subspan(1), each.options)));
        };
        const auto outcome = run();
        if (outcome) return outcome.value();
        fmt::print(stderr, "mynah image {}: {}\n", each.name, outcome.error().message());
        return each.error_status;
    }
    fmt::print(stderr, "mynah image: '{}': unknown command{}; expected create, info, check, convert, "
                       "compare, resize, snapshot, commit or rebase\n",
               words[0], did_you_mean(words[0], known));
    return kExitError;
}

}  // namespace mynah
