#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "backend/filesystem/fuse_call.h"
#include "backend/filesystem/inode_table.h"
#include "backend/filesystem/open_files.h"
#include "base/result.h"
#include "host/fd.h"
#include "memory/slice_list.h"

namespace mynah {

// Serves a folder of the host by FUSE's protocol, version 7.31 and later [FUSE].
//
// Files are reached from the folder name by name, each looked up in its parent with no symbolic
// link followed and no "..", so that no request leads out of the folder; links are read by the
// guest and followed there. Only regular files and folders are opened: no device, FIFO or socket of
// the host. If this process is root, files are made with the ids of who asks; else they are all its
// own. Files and handles that the guest holds are bounded by the limit of open files.
//
// Modelled: what POSIX programs need, extended attributes, holes, copy_file_range, renameat2.
// Left out: DAX, locks between guests (the guest keeps its own), notifications, ioctl, poll,
// device nodes (but for the whiteouts of overlay file systems), submounts of their own.
//
// handle() from any thread, several at once.
class FuseServer {
  public:
    struct Options {
        bool read_only = false;
    };
    // Error: names `origin` ("--filesystem DIR"), and why.
    static Result<std::unique_ptr<FuseServer>> open(const std::string& directory,
                                                    const Options& options,
                                                    const std::string& origin);

    // Does what the request says and answers into the places; returns the answer's length, 0 if
    // there is none. Every byte of both may change at any moment.
    uint32_t handle(SliceList& request, const SliceList& reply);
    // Whether a request waits for the host's disk.
    static bool waits(uint32_t opcode) {
        return opcode == FUSE_FSYNC || opcode == FUSE_FSYNCDIR || opcode == FUSE_SYNCFS;
    }
    // The guest is gone, and holds nothing any more.
    void reset();

    size_t known_files() const { return inodes_.size(); }

  private:
    using Inode = std::shared_ptr<HostInode>;
    // Each returns 0 or a number of errno.
    using Operation = int (FuseServer::*)(FuseCall& call);

    FuseServer(Fd proc, const Options& options, size_t most_files);
    static Operation find_operation(uint32_t opcode);
    static bool modifies(uint32_t opcode);

    int init(FuseCall& call);
    int destroy(FuseCall& call);
    int statfs(FuseCall& call);
    int syncfs(FuseCall& call);

    // fuse_names.cpp
    int lookup(FuseCall& call);
    int create(FuseCall& call);
    int make_node(FuseCall& call);
    int make_folder(FuseCall& call);
    int symlink(FuseCall& call);
    int link(FuseCall& call);
    int unlink(FuseCall& call);
    int remove_folder(FuseCall& call);
    int rename(FuseCall& call);
    int rename2(FuseCall& call);
    int do_rename(FuseCall& call, uint64_t to_folder, unsigned flags);
    void forget(FuseCall& call, bool batch);
    int enter(int folder, const std::string& name, fuse_entry_out& entry);
    int enter_new(FuseCall& call, int folder, const std::string& name, mode_t mode);

    // fuse_attributes.cpp
    int get_attributes(FuseCall& call);
    int set_attributes(FuseCall& call);
    int apply_attributes(const HostInode& inode, const fuse_setattr_in& in);
    int read_link(FuseCall& call);
    int set_extended(FuseCall& call);
    int get_extended(FuseCall& call);
    int list_extended(FuseCall& call);
    int remove_extended(FuseCall& call);

    // fuse_files.cpp
    int open_file(FuseCall& call);
    int open_folder(FuseCall& call);
    int release(FuseCall& call);
    int read(FuseCall& call);
    int write(FuseCall& call);
    int flush(FuseCall& call);
    int fsync(FuseCall& call);
    int allocate(FuseCall& call);
    int seek(FuseCall& call);
    int copy_range(FuseCall& call);
    int reopen(const HostInode& inode, int flags, Fd& fd);

    // fuse_folders.cpp
    int read_folder(FuseCall& call);
    int read_folder_plus(FuseCall& call);
    int list_folder(FuseCall& call, bool plus);
    bool put_entry(FuseCall& call, int folder, const char* name, uint64_t inode, uint64_t next,
                   unsigned type, uint64_t limit, bool plus);

    Inode inode(const FuseCall& call) const { return inodes_.find(call.header().nodeid); }

    const Fd proc_;  // /proc/self/fd
    const Options options_;
    InodeTable inodes_;
    OpenFiles files_;
};

// The entry of a file as attributes that the guest may rely on for a second.
void fill_attributes(const struct stat& status, fuse_attr& attributes);
inline constexpr uint64_t kAttributeSeconds = 1;

}  // namespace mynah
