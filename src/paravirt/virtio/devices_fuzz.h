#pragma once

#include <stdlib.h>

#include <array>
#include <filesystem>
#include <string>

#include "backend/filesystem/fuse_server.h"
#include "base/executor.h"
#include "paravirt/virtio/balloon/virtio_balloon.h"
#include "paravirt/virtio/console/virtio_console.h"
#include "paravirt/virtio/device_fuzz.h"
#include "paravirt/virtio/fs/virtio_fs.h"
#include "paravirt/virtio/gpu/virtio_gpu.h"
#include "paravirt/virtio/iommu/virtio_iommu.h"
#include "paravirt/virtio/mem/virtio_mem.h"
#include "paravirt/virtio/pmem/virtio_pmem.h"
#include "paravirt/virtio/scsi/virtio_scsi.h"
#include "paravirt/virtio/vsock/vsock_driver_test.h"
#include "scsi/cd_drive.h"
#include "scsi/scsi_disk.h"
#include "spec/scsi/commands.h"
#include "testing/memory_disk.h"
#include "testing/scripted_character_backend.h"

// What the fuzz targets of the smaller devices do with an input.
namespace mynah::testing {

template <typename T>
void append_bytes(std::vector<uint8_t>& to, const T& value) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    to.insert(to.end(), bytes, bytes + sizeof value);
}

inline void fuzz_console(ByteFeed& feed) {
    ScriptedCharacterBackend first, second;
    DeviceFuzzBoard board;
    VirtioConsole console({{first, true, ""}, {second, false, "name"}});
    board.run(
        console, feed,
        {.fill =
             [](ByteFeed& from, uint16_t queue, std::vector<uint8_t>& to) {
                 if (queue != virtio::console::kControlTransmitQueue) return;
                 append_bytes(to, virtio::console::Control{
                                      from.take<uint8_t>() % 4u,
                                      static_cast<uint16_t>(from.take<uint8_t>() % 9u),
                                      static_cast<uint16_t>(from.take<uint8_t>() % 3u)});
             },
         .event =
             [&](ByteFeed& from) {
                 const size_t size = from.take<uint16_t>() % 6000u;
                 (from.take<uint8_t>() % 2 == 0 ? first : second).type(std::string(size, 'x'));
                 console.terminal_resized();
             }});
}

inline void fuzz_balloon(ByteFeed& feed) {
    DeviceFuzzBoard board;
    VirtioBalloon balloon(board.memory(), DeviceFuzzBoard::kRam,
                          {.deflate_on_oom = true, .free_page_reporting = true});
    board.run(
        balloon, feed,
        {.fill =
             [](ByteFeed& from, uint16_t queue, std::vector<uint8_t>& to) {
                 // Page numbers away from the rings, or out of memory.
                 const unsigned count = from.take<uint8_t>() % 9u;
                 for (unsigned i = 0; i < count; ++i) {
                     const uint32_t page = 0x300u + from.take<uint8_t>() * 2u;
                     append_bytes(to, queue < 2 ? page : page % 4);
                 }
                 to.resize(to.size() - std::min<size_t>(to.size(), from.take<uint8_t>() % 4u));
             },
         .event =
             [&](ByteFeed& from) {
                 balloon.set_target(from.take<uint32_t>());
                 (void)balloon.statistics();
                 balloon.ask_for_free_pages();
             },
         .more = false});
}

inline void fuzz_vsock(ByteFeed& feed) {
    ScriptedVsock backend;
    DeviceFuzzBoard board;
    VirtioVsock vsock(backend, VsockGuest::kCid);
    board.run(vsock, feed,
              {.fill =
                   [](ByteFeed& from, uint16_t queue, std::vector<uint8_t>& to) {
                       if (queue != virtio::vsock::kTransmitQueue) return;
                       auto header =
                           VsockGuest::header(from.take<uint8_t>() % 9u, from.take<uint8_t>() % 4u,
                                              80 + from.take<uint8_t>() % 2u);
                       header.length = from.take<uint8_t>() % 64u;
                       header.flags = from.take<uint8_t>() % 4u;
                       if (from.take<uint8_t>() > 250) header.forwarded = from.take<uint32_t>();
                       append_bytes(to, header);
                   },
               .event =
                   [&](ByteFeed& from) {
                       const uint8_t choice = from.take<uint8_t>();
                       if (choice < 60) return backend.ask(from.take<uint8_t>() % 4u);
                       const VsockStream stream = from.take<uint8_t>() % (backend.last + 1);
                       auto& peer = backend.peers[stream];
                       peer.to_guest += std::string(from.take<uint8_t>(), 'y');
                       peer.room = from.take<uint8_t>();
                       peer.ended |= choice > 240;
                       backend.ready(stream, choice > 250);
                   }});
}

// Commands that exist to units that exist, with fields that are anything.
// cdb_size: as the driver last set it.
inline void fill_scsi_command(ByteFeed& from, std::vector<uint8_t>& to, uint32_t cdb_size) {
    constexpr std::array<uint8_t, 32> kCodes{0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b,
                                             0x25, 0x28, 0x2a, 0x2f, 0x35, 0x41, 0x42, 0x43,
                                             0x46, 0x4a, 0x51, 0x55, 0x5a, 0x88, 0x8a, 0x93,
                                             0x9e, 0xa0, 0xa3, 0xa8, 0xaa, 0xad, 0xbe, 0xff};
    virtio::scsi::CommandHeader header{};
    header.lun[0] = from.take<uint8_t>() < 250 ? 1 : 0;
    header.lun[1] = from.take<uint8_t>() % 3u;
    header.lun[3] = from.take<uint8_t>() % 8u == 0;
    header.id[0] = from.take<uint8_t>() % 4u;
    append_bytes(to, header);
    to.push_back(kCodes[from.take<uint8_t>() % kCodes.size()]);
    for (size_t i = 1; i < std::max(cdb_size, virtio::scsi::kDefaultCdbSize); ++i) {
        // Mostly small numbers, so that ranges are within the disks.
        const uint8_t byte = i < 16 ? from.take<uint8_t>() : uint8_t{0};
        to.push_back(byte < 128 ? uint8_t{0} : byte < 192 ? uint8_t{1} : byte);
    }
    // Parameters.
    const auto parameters = from.take_bytes(from.take<uint8_t>() % 2 * 24u);
    to.insert(to.end(), parameters.begin(), parameters.end());
}

inline void fuzz_scsi(ByteFeed& feed) {
    BlockGeometry geometry;
    geometry.size = 1 << 17;
    geometry.can_discard = geometry.can_write_zeroes = true;
    geometry.max_discard_size = geometry.max_write_zeroes_size = 1 << 15;
    MemoryDisk disk(geometry), plain(1 << 16), disc(1 << 18);
    DeviceFuzzBoard board;
    VirtioScsi scsi({.queues = 2});
    const auto add_disk = [&](ScsiAddress at, MemoryDisk& of) {
        return scsi.add_unit(at,
                             std::make_unique<ScsiDisk>(
                                 of, ScsiDiskOptions{.provisioning = true, .attentions = true}));
    };
    CHECK(add_disk({0, 0}, disk));
    auto drive = std::make_unique<CdDrive>(CdDriveOptions{});
    CdDrive& cd = *drive;
    CHECK(scsi.add_unit({1, 0}, std::move(drive)));
    board.run(scsi, feed,
              {.fill =
                   [&scsi](ByteFeed& from, uint16_t queue, std::vector<uint8_t>& to) {
                       if (queue == virtio::scsi::kEventQueue) return;
                       if (queue != virtio::scsi::kControlQueue) {
                           uint32_t cdb_size = 0;
                           scsi.read_config(offsetof(virtio::scsi::Config, cdb_size),
                                            std::as_writable_bytes(std::span(&cdb_size, 1)));
                           return fill_scsi_command(from, to, cdb_size);
                       }
                       virtio::scsi::TaskRequest request{};
                       request.type = from.take<uint8_t>() % 4u;
                       request.function = from.take<uint8_t>() % 9u;
                       request.lun[0] = 1;
                       request.lun[1] = from.take<uint8_t>() % 3u;
                       request.id[0] = from.take<uint8_t>() % 4u;
                       append_bytes(to, request);
                   },
               .event =
                   [&](ByteFeed& from) {
                       switch (from.take<uint8_t>() % 6) {
                           case 0:
                               (void)add_disk({0, 1}, plain);
                               break;
                           case 1:
                               (void)scsi.remove_unit({0, 1}, {});
                               break;
                           case 2:
                               scsi.with_unit({1, 0}, [&](ScsiUnit&) { cd.insert(disc); });
                               scsi.parameters_changed({1, 0}, scsi::kSenseMediumChanged);
                               break;
                           case 3:
                               scsi.with_unit({1, 0}, [&](ScsiUnit&) { (void)cd.eject(true); });
                               scsi.wait_for_work({1, 0});
                               break;
                           case 4:
                               disk.fail_with(from.take<uint8_t>() % 2 == 0
                                                  ? std::nullopt
                                                  : std::optional(BlockStatus::kIoError));
                               break;
                           default:
                               disk.hold(from.take<uint8_t>() % 2 == 0);
                               disk.release_all();
                       }
                   },
               .end =
                   [&] {
                       disk.hold(false);
                       disk.release_all();
                   },
               // The driver may have asked for as much.
               .room = sizeof(virtio::scsi::CommandResponse) + VirtioScsi::kMaxSenseSize});
}

// A GPU's command with numbers that are mostly small, so that they often mean something.
inline void fuzz_gpu_command(ByteFeed& from, std::vector<uint8_t>& to) {
    using namespace virtio::gpu;
    Header header{};
    const uint8_t choice = from.take<uint8_t>();
    header.type = choice > 250 ? from.take<uint32_t>() : kGetDisplayInfo + choice % 14u;
    header.flags = choice >> 7;
    append_bytes(to, header);
    constexpr std::array<uint32_t, 8> kValues{0, 1, 2, 64, 67, 4096, 0xfffffff0, 0x80000000};
    const unsigned words = from.take<uint8_t>() % 24u;
    for (unsigned i = 0; i < words; ++i) {
        const uint8_t value = from.take<uint8_t>();
        append_bytes(to, value < 32 ? kValues[value % 8u] : value % 5u);
    }
    // What may be a list of memory, in it or beyond its end.
    for (unsigned i = from.take<uint8_t>() % 4u; i > 0; --i) {
        append_bytes(to, MemoryEntry{from.take<uint8_t>() * 0x5000ull, from.take<uint16_t>(), 0});
    }
}

inline void fuzz_gpu(ByteFeed& feed) {
    DeviceFuzzBoard board;
    VirtioGpu gpu{Monitor{}};
    Surface surface;
    board.run(
        gpu, feed,
        {.fill =
             [](ByteFeed& from, uint16_t queue, std::vector<uint8_t>& to) {
                 if (queue == virtio::gpu::kControlQueue) return fuzz_gpu_command(from, to);
                 append_bytes(
                     to,
                     virtio::gpu::Cursor{
                         {virtio::gpu::kUpdateCursor + from.take<uint8_t>() % 2u, 0, 0, 0, 0, {}},
                         0,
                         from.take<uint32_t>(),
                         static_cast<uint32_t>(from.take<int8_t>()),
                         0,
                         from.take<uint8_t>() % 5u,
                         0,
                         0,
                         0});
             },
         .event =
             [&](ByteFeed& from) {
                 std::vector<Rect> changed;
                 gpu.refresh(surface, changed);
                 for (const Rect& rect : changed) {
                     CHECK(rect.x + rect.width <= surface.width());
                     CHECK(rect.y + rect.height <= surface.height());
                 }
                 if (from.take<uint8_t>() > 200) gpu.request_size(from.take<uint16_t>(), 600);
             },
         .more = false});
}

// Requests with few domains and pages, and accesses of endpoints in between.
inline void fuzz_iommu(ByteFeed& feed) {
    using namespace virtio::iommu;
    IommuDomains domains;
    const DmaTranslation* const endpoints[] = {&domains.add_endpoint(0), &domains.add_endpoint(1)};
    InlineExecutor executor;
    DeviceFuzzBoard board;
    VirtioIommu iommu(domains, executor);
    const auto place = [](ByteFeed& from) {
        const uint8_t page = from.take<uint8_t>();
        return page == 255 ? ~uint64_t{0xfff} : uint64_t{page % 64u} << 12 | page >> 7;
    };
    board.run(iommu, feed,
              {.fill =
                   [&](ByteFeed& from, uint16_t queue, std::vector<uint8_t>& to) {
                       if (queue == kEventQueue) return;
                       const uint8_t type = from.take<uint8_t>() % 7u;
                       append_bytes(to, Head{type, {}});
                       const uint32_t domain = from.take<uint8_t>() % 3u;
                       if (type == kAttach || type == kDetach) {
                           append_bytes(to, Attach{domain,
                                                   from.take<uint8_t>() % 3u,
                                                   from.take<uint8_t>() / 200u,
                                                   {}});
                       } else if (type == kMap) {
                           const uint64_t first = place(from), last = place(from) | 0xfff;
                           append_bytes(to, Map{domain, first, last, place(from),
                                                from.take<uint8_t>() % 5u});
                       } else if (type == kUnmap) {
                           const uint64_t first = place(from), last = place(from) | 0xfff;
                           append_bytes(to, Unmap{domain, first, last, {}});
                       } else {
                           append_bytes(to, Probe{domain, {}});
                       }
                   },
               .event =
                   [&](ByteFeed& from) {
                       const uint64_t address = place(from), size = from.take<uint16_t>() + 1u;
                       const auto use = static_cast<DmaUse>(from.take<uint8_t>() % 3u);
                       const auto run = endpoints[from.take<uint8_t>() % 2u]->translate(
                           GuestPhys(address), size, use);
                       if (run) CHECK(run->size > 0 && run->size <= size);
                   },
               .more = false});
}

inline void fuzz_mem(ByteFeed& feed) {
    constexpr uint64_t kBlock = 1 << 20;
    constexpr GuestMemory::Range kRegion{GuestPhys{uint64_t{1} << 32}, 64 * kBlock};
    DeviceFuzzBoard board({.pluggable = kRegion});
    VirtioMem mem(board.memory(), kRegion, kBlock, 8 * kBlock);
    board.run(mem, feed,
              {.fill =
                   [&](ByteFeed& from, uint16_t, std::vector<uint8_t>& to) {
                       virtio::mem::Request request{};
                       request.type = from.take<uint8_t>() % 5u;
                       request.address =
                           kRegion.start.value + (from.take<uint8_t>() % 80u) * kBlock;
                       request.address += from.take<uint8_t>() < 240 ? 0u : from.take<uint64_t>();
                       request.blocks = from.take<uint8_t>() % 8u;
                       append_bytes(to, request);
                   },
               .event =
                   [&](ByteFeed& from) {
                       (void)mem.request(from.take<uint8_t>() % 80u * kBlock);
                       const VirtioMem::Sizes sizes = mem.sizes();
                       CHECK(sizes.plugged <= sizes.region && sizes.plugged % kBlock == 0);
                   },
               .room = sizeof(virtio::mem::Response)});
}

inline void fuzz_pmem(ByteFeed& feed) {
    MemoryDisk file(1 << 16);
    DeviceFuzzBoard board;
    VirtioPmem pmem(GuestPhys{uint64_t{1} << 32}, 1 << 21, file);
    board.run(
        pmem, feed,
        {.fill = [](ByteFeed& from, uint16_t,
                    std::vector<uint8_t>& to) { append_bytes(to, from.take<uint8_t>() % 3u); },
         .event =
             [&](ByteFeed& from) {
                 file.hold(from.take<uint8_t>() % 2 == 0);
                 file.release_all();
             },
         .end =
             [&] {
                 file.hold(false);
                 file.release_all();
             },
         .room = 4});
}

// A file server is asked for anything, in a folder of its own; what lies beside the folder must
// stay as it is.
inline void fuzz_fs(ByteFeed& feed) {
    namespace files = std::filesystem;
    std::string pattern = (files::temp_directory_path() / "fuzz-fs-XXXXXX").string();
    CHECK(mkdtemp(pattern.data()) != nullptr);
    const files::path outside = pattern, shared = outside / "shared";
    files::create_directory(shared);
    files::create_directory_symlink("..", shared / "up");
    {
        auto server = FuseServer::open(shared.string(), {}, "fuzz").take_value();
        InlineExecutor executor;
        DeviceFuzzBoard board;
        VirtioFs fs(*server, executor, "tag");
        uint64_t unique = 0;
        board.run(fs, feed, {.fill = [&](ByteFeed& from, uint16_t, std::vector<uint8_t>& to) {
                      fuse_in_header header{};
                      header.opcode = from.take<uint8_t>() % FUSE_SYNCFS;
                      header.nodeid = from.take<uint8_t>() % 6u;
                      header.unique = ++unique;
                      append_bytes(to, header);
                      constexpr std::array<uint8_t, 7> kArguments{0, 4, 8, 16, 24, 40, 88};
                      const size_t size = kArguments[from.take<uint8_t>() % 7u];
                      for (size_t i = 0; i < size; ++i)
                          to.push_back(i % 8 == 0 ? static_cast<uint8_t>(from.take<uint8_t>() % 8)
                                                  : uint8_t{0});
                      constexpr std::array<const char*, 6> kNames{"a", "b", "up", "..", "up/x", ""};
                      for (int i = 0; i < 2; ++i) {
                          const char* name = kNames[from.take<uint8_t>() % 6u];
                          to.insert(to.end(), name, name + std::strlen(name) + 1);
                      }
                  }});
    }
    size_t beside = 0;
    for (const auto& each : files::directory_iterator(outside)) beside += each.exists() ? 1 : 0;
    CHECK(beside == 1);
    std::error_code ignored;
    files::remove_all(outside, ignored);
}

}  // namespace mynah::testing
